/** The derivation: what a build is made from, as Nix and Guix model it. */
import { printDerivation } from "./aterm.ts";
import { makeTextPath } from "./content-address.ts";
import { findOutputPath, type Output } from "./output.ts";
import type { StoreDirectory, StorePath } from "./store-path.ts";

export { validateDerivation } from "./derivation-validity.ts";

/**
 * Builder, arguments and values of the environment are bytes, for they need not be UTF-8; names are text, and a .drv
 * whose names are not UTF-8 is refused.
 */
export interface Derivation {
  /** Without ".drv". */
  readonly name: string;
  /** By id, such as "out". */
  readonly outputs: ReadonlyMap<string, Output>;
  /** The ids of the outputs that the build uses, by the path of their derivation. */
  readonly inputDerivations: ReadonlyMap<StorePath, ReadonlySet<string>>;
  readonly inputSources: ReadonlySet<StorePath>;
  /** Such as "x86_64-linux". */
  readonly system: string;
  /** A full path, or such as "builtin:fetchurl". */
  readonly builder: Uint8Array;
  readonly args: readonly Uint8Array[];
  readonly environment: ReadonlyMap<string, Uint8Array>;
}

/** The path of an output, or undefined if there is no such output or its path is not known before a build. */
export function outputPathOf(
  directory: StoreDirectory,
  derivation: Derivation,
  outputId: string,
): StorePath | undefined {
  const output = derivation.outputs.get(outputId);
  return output === undefined ? undefined : findOutputPath(directory, derivation.name, outputId, output);
}

/** What a .drv refers to: its input derivations and sources. */
export function referencesOf(derivation: Derivation): StorePath[] {
  return [...derivation.inputDerivations.keys(), ...derivation.inputSources];
}

/** The store path of the derivation's own .drv file. */
export function derivationPath(directory: StoreDirectory, derivation: Derivation): StorePath {
  const bytes = printDerivation(directory, derivation);
  return makeTextPath(directory, `${derivation.name}.drv`, bytes, referencesOf(derivation));
}
