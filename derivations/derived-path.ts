/** What can be asked for: a store path as it is, or outputs of a derivation. Source: Nix manual, "Derived path". */
import { DerivationError } from "./errors.ts";
import {
  assertStorePathName,
  isDerivationPath,
  parseFullStorePath,
  printStorePath,
  type StoreDirectory,
  type StorePath,
} from "./store-path.ts";

export type DerivedPath =
  | { readonly kind: "opaque"; readonly path: StorePath }
  | { readonly kind: "built"; readonly drvPath: StorePath; readonly outputs: "all" | readonly string[] };

/** Between derivation and outputs: `^` for people, `!` in the worker protocol. */
export type DerivedPathSeparator = "^" | "!";

/**
 * Reads `PATH`, `DRV^out,dev` or `DRV^*`, with full paths.
 * Throws DERIVED_PATH_INVALID, STORE_PATH_INVALID, STORE_PATH_NAME_INVALID.
 */
export function parseDerivedPath(
  directory: StoreDirectory,
  text: string,
  separator: DerivedPathSeparator = "^",
): DerivedPath {
  const end = text.lastIndexOf(separator);
  if (end < 0) return { kind: "opaque", path: parseFullStorePath(directory, text) };

  const drvPath = parseFullStorePath(directory, text.slice(0, end));
  const outputs = text.slice(end + 1);
  if (!isDerivationPath(drvPath))
    throw new DerivationError("DERIVED_PATH_INVALID", { text, reason: "what has outputs is a .drv path" });
  if (outputs === "*") return { kind: "built", drvPath, outputs: "all" };

  const ids = outputs.split(",");
  if (new Set(ids).size !== ids.length)
    throw new DerivationError("DERIVED_PATH_INVALID", { text, reason: "it names an output twice" });
  for (const id of ids) assertStorePathName(id);
  return { kind: "built", drvPath, outputs: ids };
}

export function printDerivedPath(
  directory: StoreDirectory,
  derived: DerivedPath,
  separator: DerivedPathSeparator = "^",
): string {
  switch (derived.kind) {
    case "opaque":
      return printStorePath(directory, derived.path);
    case "built": {
      const outputs = derived.outputs === "all" ? "*" : derived.outputs.join(",");
      return `${printStorePath(directory, derived.drvPath)}${separator}${outputs}`;
    }
    default:
      return derived satisfies never;
  }
}
