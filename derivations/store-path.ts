/**
 * Store paths and the directory they lie in. Source: Nix manual, "Store Path" and "Complete Store Path Calculation".
 */
import { base32Alphabet, encodeBase32 } from "./base32.ts";
import type { Brand } from "./brand.ts";
import { DerivationError } from "./errors.ts";
import { foldXor, printDigest, type Sha256, sha256 } from "./hash.ts";

/** "<32 base-32 digits>-<name>", without the store directory, which differs between stores. */
export type StorePath = Brand<string, "StorePath">;

/** Absolute, no slash at the end, such as "/gnu/store". It is hashed into every path below it. */
export type StoreDirectory = Brand<string, "StoreDirectory">;

/** The number of base-32 digits before the name. */
export const hashPartLength = 32;

/** Nix's limit: with hash part and dash it leaves room for suffixes such as ".lock" in a file name of 255 bytes. */
export const nameLengthLimit = 211;

/** Throws STORE_DIRECTORY_INVALID. */
export function parseStoreDirectory(text: string): StoreDirectory {
  const refuse = (reason: string) => new DerivationError("STORE_DIRECTORY_INVALID", { text, reason });
  if (!text.startsWith("/")) throw refuse("it is not absolute");
  if (text.includes("\0")) throw refuse("it has a NUL byte");
  for (const part of text.slice(1).split("/")) {
    if (part === "") throw refuse("it has an empty part");
    if (part === "." || part === "..") throw refuse(`it has the part ${part}`);
  }
  return text as StoreDirectory;
}

/** Checks the base name of a store path. Throws STORE_PATH_INVALID, STORE_PATH_NAME_INVALID. */
export function parseStorePath(baseName: string): StorePath {
  if (wholePath.test(baseName)) return baseName as StorePath;

  const refuse = (reason: string) => new DerivationError("STORE_PATH_INVALID", { text: baseName, reason });
  if (!hashPart.test(baseName.slice(0, hashPartLength))) throw refuse("it does not begin with 32 base-32 digits");
  if (baseName[hashPartLength] !== "-") throw refuse("there is no dash after its 32 base-32 digits");
  assertStorePathName(baseName.slice(hashPartLength + 1));
  return baseName as StorePath;
}

/** Reads a full path directly below the store directory. Throws STORE_PATH_INVALID, STORE_PATH_NAME_INVALID. */
export function parseFullStorePath(directory: StoreDirectory, text: string): StorePath {
  const refuse = (reason: string) => new DerivationError("STORE_PATH_INVALID", { text, reason });
  if (!text.startsWith(directory) || text[directory.length] !== "/") throw refuse(`it is not in ${directory}`);
  const slash = text.indexOf("/", directory.length + 1);
  if (slash >= 0) throw refuse("it is a file inside a store path, or has a slash at the end");
  return parseStorePath(text.slice(directory.length + 1));
}

/** The full path. */
export function printStorePath(directory: StoreDirectory, path: StorePath): string {
  return `${directory}/${path}`;
}

/** The 32 base-32 digits, which is what a scan for references looks for. */
export function hashPartOf(path: StorePath): string {
  return path.slice(0, hashPartLength);
}

export function nameOf(path: StorePath): string {
  return path.slice(hashPartLength + 1);
}

export function isDerivationPath(path: StorePath): boolean {
  return path.endsWith(".drv");
}

/** Throws STORE_PATH_NAME_INVALID. */
export function assertStorePathName(name: string): void {
  const refuse = (reason: string) => new DerivationError("STORE_PATH_NAME_INVALID", { name, reason });
  if (name === "") throw refuse("it is empty");
  if (name.length > nameLengthLimit) throw refuse(`it is longer than ${nameLengthLimit} bytes`);
  if (!nameCharacters.test(name)) throw refuse("it has a character that is not allowed");
  if (dotPart.test(name)) throw refuse("its first part is `.` or `..`");
}

/**
 * The path of an object from the digest of what identifies it; `kind` is such as "text" or "output:out".
 * Throws STORE_PATH_NAME_INVALID.
 */
export function makeStorePath(directory: StoreDirectory, kind: string, inner: Sha256, name: string): StorePath {
  assertStorePathName(name);
  const fingerprint = `${kind}:sha256:${printDigest(inner, "base16")}:${directory}:${name}`;
  return `${encodeBase32(foldXor(sha256(fingerprint).bytes, 20))}-${name}` as StorePath; // checked above, so cast here
}

const hashPart = new RegExp(`^[${base32Alphabet}]{${hashPartLength}}$`);
/** All rules in one, for the thousands of paths in a .drv; what it refuses is looked at again to say why. */
const wholePath = new RegExp(
  `^[${base32Alphabet}]{${hashPartLength}}-(?!\\.\\.?(?:-|$))[0-9a-zA-Z+._?=-]{1,${nameLengthLimit}}$`,
);
const nameCharacters = /^[0-9a-zA-Z+._?=-]+$/;
const dotPart = /^\.\.?(-|$)/;
