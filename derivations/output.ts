/**
 * An output of a derivation, in the forms that a .drv tells apart by which of (path, method and algorithm, hash) are there.
 * Source: Nix manual, "Derivation Output" and "ATerm"; Nix libstore/derivations.cc.
 */
import {
  type ContentAddress,
  type ContentMethod,
  makeFixedOutputPath,
  outputPathName,
  printMethod,
  splitMethod,
} from "./content-address.ts";
import { DerivationError } from "./errors.ts";
import { type HashAlgorithm, isHashAlgorithm, parseHash, printDigest } from "./hash.ts";
import { parseFullStorePath, printStorePath, type StoreDirectory, type StorePath } from "./store-path.ts";

/** Its path follows from the derivation. */
export interface InputAddressedOutput {
  readonly kind: "input-addressed";
  readonly path: StorePath;
}

/** Its contents are promised; `path` follows from the promise, and is what the .drv says where one was read. */
export interface FixedOutput extends ContentAddress {
  readonly kind: "fixed";
  readonly path?: StorePath;
}

/** Its path follows from its contents, which are known after the build. */
export interface FloatingOutput {
  readonly kind: "floating";
  readonly method: ContentMethod;
  readonly algorithm: HashAlgorithm;
}

/** Input-addressed, but its path is not known yet: not computed yet, or the derivation depends on a floating output. */
export interface DeferredOutput {
  readonly kind: "deferred";
}

export type Output = InputAddressedOutput | FixedOutput | FloatingOutput | DeferredOutput;

/** The three strings of an output in a .drv; the full path is "" where it is not known. */
export interface OutputFields {
  readonly path: string;
  readonly methodAndAlgorithm: string;
  readonly hash: string;
}

/** The path that an output of this derivation has, or undefined before it is known. */
export function findOutputPath(
  directory: StoreDirectory,
  derivationName: string,
  outputId: string,
  output: Output,
): StorePath | undefined {
  switch (output.kind) {
    case "input-addressed":
      return output.path;
    case "fixed":
      return output.path ?? makeFixedOutputPath(directory, outputPathName(derivationName, outputId), output);
    case "floating":
    case "deferred":
      return undefined;
    default:
      return output satisfies never;
  }
}

/** Throws DERIVATION_INVALID, DERIVATION_IMPURE_UNSUPPORTED, STORE_PATH_INVALID, HASH_INVALID. */
export function parseOutputFields(
  directory: StoreDirectory,
  derivationName: string,
  outputId: string,
  fields: OutputFields,
): Output {
  const path = fields.path === "" ? undefined : parseFullStorePath(directory, fields.path);
  const refuse = (reason: string) =>
    new DerivationError("DERIVATION_INVALID", { name: derivationName, reason: `output ${outputId} ${reason}` });

  if (fields.methodAndAlgorithm === "") {
    if (fields.hash !== "") throw refuse("has a hash without an algorithm");
    return path === undefined ? { kind: "deferred" } : { kind: "input-addressed", path };
  }
  if (fields.hash === "impure") throw new DerivationError("DERIVATION_IMPURE_UNSUPPORTED", { outputId });

  const { method, rest: algorithm } = splitMethod(fields.methodAndAlgorithm);
  if (!isHashAlgorithm(algorithm))
    throw refuse(`has the hash algorithm ${fields.methodAndAlgorithm}, which is not known`);
  if (method === "text" && algorithm !== "sha256") throw refuse("is a text hashed by something other than sha256");
  if (fields.hash === "") {
    if (path !== undefined) throw refuse("has a path and an algorithm, but no hash");
    return { kind: "floating", method, algorithm };
  }
  if (path === undefined) throw refuse("has a hash, but no path");
  return { kind: "fixed", method, hash: parseHash(fields.hash, algorithm), path };
}

export function printOutputFields(
  directory: StoreDirectory,
  derivationName: string,
  outputId: string,
  output: Output,
): OutputFields {
  const path = findOutputPath(directory, derivationName, outputId, output);
  const fullPath = path === undefined ? "" : printStorePath(directory, path);
  switch (output.kind) {
    case "input-addressed":
    case "deferred":
      return { path: fullPath, methodAndAlgorithm: "", hash: "" };
    case "fixed":
      return {
        path: fullPath,
        methodAndAlgorithm: `${printMethod(output.method)}${output.hash.algorithm}`,
        hash: printDigest(output.hash, "base16"),
      };
    case "floating":
      return { path: "", methodAndAlgorithm: `${printMethod(output.method)}${output.algorithm}`, hash: "" };
    default:
      return output satisfies never;
  }
}
