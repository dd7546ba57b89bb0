/** The result link: a symbolic link of the user's own to the output, registered as a root so that it stays. */
import { randomBytes } from "node:crypto";
import { accessSync, constants, lstatSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { dirname, resolve } from "node:path";
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

/** Checked before a long build, not after it. Throws CLI_OUT_LINK_OCCUPIED, CLI_OUT_LINK_FAILED. */
export function assertLinkIsPossible(path: string): void {
  try {
    accessSync(dirname(path), constants.W_OK | constants.X_OK);
  } catch (error) {
    throw linkFailed(path, error);
  }
  assertLinkIsFree(path);
}

function assertLinkIsFree(path: string): void {
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
  try {
    symlinkSync(output.realPath, fresh);
    renameSync(fresh, path);
  } catch (error) {
    rmSync(fresh, { force: true });
    throw linkFailed(path, error);
  }
  await service.addIndirectRoot(path, output.path);
  return path;
}

function linkFailed(path: string, error: unknown): InstanceType<typeof CliError> {
  const { code, message } = error as NodeJS.ErrnoException;
  const directory = dirname(path);
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: `there is no directory ${directory}`,
    ENOTDIR: `${directory} is not a directory`,
    EACCES: `you may not write to ${directory}`,
    EROFS: `${directory} is on a read-only file system`,
  };
  return new CliError("CLI_OUT_LINK_FAILED", { path, reason: reasons[code ?? ""] ?? message });
}
