/** Worlds of this host as store paths: found again by the cache, or archived and sent to the store. */
import { createHash } from "node:crypto";
import { makeSourcePath } from "../../derivations/content-address.ts";
import { makeSha256 } from "../../derivations/hash.ts";
import type { StoreDirectory, StorePath } from "../../derivations/store-path.ts";
import type { Service } from "../api/service.ts";
import { DefinitionError } from "./errors.ts";
import type { ExplainedFile } from "./host-selection.ts";
import { findShell } from "./shell.ts";
import { assertUnchanged, findKnownWorld, keepWorld } from "./world-cache.ts";

/** The name in the store path of each host world. */
const worldName = "host-world";

export interface WorldOptions {
  readonly storeDirectory: StoreDirectory;
  /** This user's cache, such as "/home/ada/.cache/cloister". */
  readonly cacheDirectory: string;
  readonly onProgress?: (line: string) => void;
  readonly signal?: AbortSignal;
}

export interface HostWorldPath {
  readonly path: StorePath;
  /** The shell for scripts, such as "/usr/bin/bash"; absent if the world has none. */
  readonly shell?: string;
}

/** What a world of these programs holds and why, sorted by path. Throws as `selectHostFiles`. */
export async function explainHostWorld(programs: readonly string[]): Promise<readonly ExplainedFile[]> {
  const { explainHostFiles, selectHostFiles } = await import("./host-selection.ts");
  return explainHostFiles(selectHostFiles(programs));
}

/** Where the world of these programs is, or was, in the store, if no file of it has changed since it was made. */
export function findHostWorld(programs: readonly string[], options: WorldOptions): HostWorldPath | undefined {
  const known = findKnownWorld(options.cacheDirectory, programs);
  if (known === undefined) return undefined;
  const path = makeSourcePath(options.storeDirectory, worldName, known.narHash);
  return { path, ...(known.shell !== undefined && { shell: known.shell }) };
}

/**
 * Sends the world of these programs to the store and remembers it. Throws as `selectHostFiles`, and WORLD_CHANGED if
 * files changed meanwhile.
 */
export async function addHostWorld(
  service: Service,
  programs: readonly string[],
  options: WorldOptions,
): Promise<HostWorldPath> {
  // Loaded only now: a world that is found again, which is nearly every time, needs none of it.
  const { selectHostFiles } = await import("./host-selection.ts");
  const { archiveHostTree } = await import("./world-archive.ts");
  const tree = selectHostFiles(programs);
  const { signal } = options;
  let bytes = 0;
  for (const entry of tree.entries.values()) if (entry.kind === "file") bytes += entry.size;
  options.onProgress?.(
    `making a world of ${[...programs].join(", ")} (${tree.entries.size} files, ${Math.ceil(bytes / 1e6)} MB; once, until they change)`,
  );

  const digest = createHash("sha256");
  let narSize = 0;
  async function* archive() {
    for await (const piece of archiveHostTree(tree, signal ? { signal } : {})) {
      digest.update(piece);
      narSize += piece.length;
      yield piece;
    }
    assertUnchanged(tree); // before the end reaches the store, so that it keeps nothing mixed
  }
  const info = await service.addSource(
    worldName,
    { kind: "source", references: [] },
    archive(),
    signal ? { signal } : {},
  );

  const narHash = makeSha256(digest.digest());
  const shell = findShell((path) => tree.entries.has(path));
  const expected = makeSourcePath(options.storeDirectory, worldName, narHash);
  if (info.path !== expected)
    throw new DefinitionError("DRV_INPUT_DIFFERENT", { file: worldName, expected, found: info.path });
  keepWorld(options.cacheDirectory, programs, tree, { narHash, narSize, ...(shell !== undefined && { shell }) });
  return { path: info.path, ...(shell !== undefined && { shell }) };
}

/** The path of the world of these programs, valid in the store. Throws as `addHostWorld`. */
export async function resolveHostWorld(
  service: Service,
  programs: readonly string[],
  options: WorldOptions,
): Promise<StorePath> {
  const known = findHostWorld(programs, options);
  if (known !== undefined && (await service.queryValidPaths([known.path], options)).length > 0) return known.path;
  return (await addHostWorld(service, programs, options)).path;
}
