/** The result link: a symbolic link of the user's own to the output, registered as a root so that it stays. */
import { randomBytes } from "node:crypto";
import { lstatSync, renameSync, symlinkSync, unlinkSync } from "node:fs";
import { resolve } from "node:path";
import type { StorePath } from "../../derivations/store-path.ts";
import type { Service } from "../api/service.ts";
import { CliError } from "./errors.ts";

export interface LinkedOutput {
  readonly outputId: string;
  readonly path: StorePath;
  readonly realPath: string;
}

/**
 * The link's name for an output: as Nix names them, "result", "result-dev", and "result-1" for the second target.
 */
export function outLinkName(base: string, targetIndex: number, outputId: string): string {
  const numbered = targetIndex === 0 ? base : `${base}-${targetIndex}`;
  return outputId === "out" ? numbered : `${numbered}-${outputId}`;
}

/** Checked before a long build, not after it. Throws CLI_OUT_LINK_OCCUPIED. */
export function assertLinkIsFree(path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found !== undefined && !found.isSymbolicLink()) throw new CliError("CLI_OUT_LINK_OCCUPIED", { path });
}

/**
 * Makes or replaces the link and registers it. The new link is made beside the old one and renamed over it, so at no
 * moment is there none. The output is alive until then by the connection's lease.
 */
export async function makeOutLink(service: Service, cwd: string, name: string, output: LinkedOutput): Promise<string> {
  const path = resolve(cwd, name);
  assertLinkIsFree(path);
  const fresh = `${path}.${randomBytes(6).toString("hex")}`;
  symlinkSync(output.realPath, fresh);
  try {
    renameSync(fresh, path);
  } catch (error) {
    unlinkSync(fresh);
    throw error;
  }
  await service.addIndirectRoot(path, output.path);
  return path;
}
