/**
 * The store paths of objects that are addressed by their contents, and of derivations' outputs.
 * Source: Nix manual, "Complete Store Path Calculation" and "Content-Addressing Store Objects".
 */
import { DerivationError } from "./errors.ts";
import { type Hash, hashesEqual, parseHash, printDigest, printHash, type Sha256, sha256 } from "./hash.ts";
import {
  assertStorePathName,
  makeStorePath,
  printStorePath,
  type StoreDirectory,
  type StorePath,
} from "./store-path.ts";

/** How an object is hashed: a file's bytes as they are, the NAR of a tree, or a text with its references. */
export type ContentMethod = "flat" | "recursive" | "text";

export interface ContentAddress {
  readonly method: ContentMethod;
  readonly hash: Hash;
}

/** The store paths that an object names: others', and perhaps its own. */
export interface References {
  readonly others: Iterable<StorePath>;
  readonly self: boolean;
}

/** The path of a text, such as a .drv file. Throws STORE_PATH_NAME_INVALID. */
export function makeTextPath(
  directory: StoreDirectory,
  name: string,
  bytes: Uint8Array,
  references: Iterable<StorePath>,
): StorePath {
  return makeStorePath(
    directory,
    kindWith(directory, "text", { others: references, self: false }),
    sha256(bytes),
    name,
  );
}

/** The path of a tree by the SHA-256 of its NAR. Throws STORE_PATH_NAME_INVALID. */
export function makeSourcePath(
  directory: StoreDirectory,
  name: string,
  narHash: Sha256,
  references: References = noReferences,
): StorePath {
  return makeStorePath(directory, kindWith(directory, "source", references), narHash, name);
}

/**
 * The path of any object by its contents; for a self-reference the hash is that of the NAR modulo self.
 * Throws STORE_PATH_NAME_INVALID, CONTENT_ADDRESS_REFERENCES (references where the method has no place for them).
 */
export function makeFixedOutputPath(
  directory: StoreDirectory,
  name: string,
  address: ContentAddress,
  references: References = noReferences,
): StorePath {
  const { method, hash } = address;
  if (isSha256(hash)) {
    if (method === "recursive") return makeSourcePath(directory, name, hash, references);
    if (method === "text" && !references.self)
      return makeStorePath(directory, kindWith(directory, "text", references), hash, name);
  }
  if (method === "text" || references.self || !isEmpty(references.others))
    throw new DerivationError("CONTENT_ADDRESS_REFERENCES", { name, method, algorithm: hash.algorithm });

  const inner = sha256(`fixed:out:${printMethod(method)}${hash.algorithm}:${printDigest(hash, "base16")}:`);
  return makeStorePath(directory, "output:out", inner, name);
}

/** The path of an input-addressed output; `modulo` is the masked hash of its derivation. */
export function makeOutputPath(
  directory: StoreDirectory,
  derivationName: string,
  outputId: string,
  modulo: Sha256,
): StorePath {
  return makeStorePath(directory, `output:${outputId}`, modulo, outputPathName(derivationName, outputId));
}

/** The name in an output's path: the derivation's, and the id of any other output than `out`. */
export function outputPathName(derivationName: string, outputId: string): string {
  const name = outputId === "out" ? derivationName : `${derivationName}-${outputId}`;
  assertStorePathName(name);
  return name;
}

/** What stands before the algorithm in a .drv and in fingerprints: `r:` for recursive, `text:`, nothing for flat. */
export function printMethod(method: ContentMethod): string {
  switch (method) {
    case "flat":
      return "";
    case "recursive":
      return "r:";
    case "text":
      return "text:";
    default:
      return method satisfies never;
  }
}

/** Splits such as `r:sha256` into method and the rest. */
export function splitMethod(text: string): { readonly method: ContentMethod; readonly rest: string } {
  if (text.startsWith("r:")) return { method: "recursive", rest: text.slice(2) };
  if (text.startsWith("text:")) return { method: "text", rest: text.slice(5) };
  return { method: "flat", rest: text };
}

/** Nix's form in database, narinfo and protocol: `text:sha256:…`, `fixed:sha256:…`, `fixed:r:sha256:…` in base 32. */
export function printContentAddress(address: ContentAddress): string {
  const prefix = address.method === "text" ? "text:" : `fixed:${printMethod(address.method)}`;
  return `${prefix}${printHash(address.hash, "base32")}`;
}

/** Throws CONTENT_ADDRESS_INVALID, HASH_INVALID, BASE32_INVALID. */
export function parseContentAddress(text: string): ContentAddress {
  const refuse = (reason: string) => new DerivationError("CONTENT_ADDRESS_INVALID", { text, reason });
  if (text.startsWith("text:")) {
    const hash = parseHash(text.slice(5));
    if (!isSha256(hash)) throw refuse("a text is hashed by sha256 only");
    return { method: "text", hash };
  }
  if (!text.startsWith("fixed:")) throw refuse("it begins with neither text: nor fixed:");
  const { method, rest } = splitMethod(text.slice(6));
  if (method === "text") throw refuse("fixed:text: is not a form");
  return { method, hash: parseHash(rest) };
}

export function contentAddressesEqual(left: ContentAddress, right: ContentAddress): boolean {
  return left.method === right.method && hashesEqual(left.hash, right.hash);
}

const noReferences: References = { others: [], self: false };

function kindWith(directory: StoreDirectory, kind: string, references: References): string {
  const others = [...new Set(references.others)].sort(); // ASCII only, so JavaScript's order is that of the bytes
  return [kind, ...others.map((path) => printStorePath(directory, path)), ...(references.self ? ["self"] : [])].join(
    ":",
  );
}

function isSha256(hash: Hash): hash is Sha256 {
  return hash.algorithm === "sha256";
}

function isEmpty(values: Iterable<unknown>): boolean {
  for (const _ of values) return false;
  return true;
}
