/**
 * Stand-ins for paths that are not known yet, and paths to build at before the real one is known.
 * Source: Nix manual, "Output placeholder"; Nix libstore/downstream-placeholder.cc and build/derivation-builder.cc.
 */
import { encodeBase32 } from "./base32.ts";
import { outputPathName } from "./content-address.ts";
import { makeSha256, sha256 } from "./hash.ts";
import { hashPartOf, makeStorePath, nameOf, type StoreDirectory, type StorePath } from "./store-path.ts";

/** What stands in environment and arguments for a derivation's own output. */
export function makePlaceholder(outputId: string): string {
  return `/${encodeBase32(sha256(`nix-output:${outputId}`).bytes)}`;
}

/** What stands for an input's output that was not built yet. */
export function makeUpstreamPlaceholder(drvPath: StorePath, outputId: string): string {
  const outputName = outputPathName(derivationNameOf(drvPath), outputId);
  return `/${encodeBase32(sha256(`nix-upstream-output:${hashPartOf(drvPath)}:${outputName}`).bytes)}`;
}

/** The path at which an output is built whose own path follows from its contents. */
export function makeScratchPath(directory: StoreDirectory, drvPath: StorePath, outputId: string): StorePath {
  const name = outputPathName(derivationNameOf(drvPath), outputId);
  return makeStorePath(directory, `rewrite:${drvPath}:name:${outputId}`, zeroHash, name);
}

/** The path at which an output is built again while its real path is in use, as for a check. */
export function makeScratchPathFor(directory: StoreDirectory, drvPath: StorePath, outputPath: StorePath): StorePath {
  return makeStorePath(directory, `rewrite:${drvPath}:${outputPath}`, zeroHash, nameOf(outputPath));
}

/** The name of a derivation by the path of its .drv. */
export function derivationNameOf(drvPath: StorePath): string {
  return nameOf(drvPath).replace(/\.drv$/, "");
}

const zeroHash = makeSha256(new Uint8Array(32));
