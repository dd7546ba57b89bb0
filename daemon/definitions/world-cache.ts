/**
 * Remembers which archive a list of programs gave, so that the world is found again by looking at its files' stats
 * alone. A cache is only ever an aid: what cannot be read or does not fit counts as not there.
 */
import { createHash, randomUUID } from "node:crypto";
import { lstatSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { makeSha256, type Sha256 } from "../../derivations/hash.ts";
import { DefinitionError } from "./errors.ts";
import { hostToolsText } from "./host-tools.ts";
import type { HostTree, SeenFile } from "./host-tree.ts";

export interface KnownWorld {
  readonly narHash: Sha256;
  readonly narSize: number;
  /** The shell for scripts, such as "/usr/bin/bash". */
  readonly shell?: string;
}

/** Changed whenever a world of the same files would come out otherwise. */
const format = 1;

/** As stored: one line of JSON; `stats` holds four numbers for each of `paths`. */
interface Stored {
  readonly format: number;
  readonly programs: readonly string[];
  readonly narHash: string;
  readonly narSize: number;
  readonly shell?: string;
  readonly paths: readonly string[];
  readonly stats: readonly number[];
  readonly absent: readonly string[];
}

/** The world that these programs gave last time, if every file that was looked at is as it was. */
export function findKnownWorld(cacheDirectory: string, programs: readonly string[]): KnownWorld | undefined {
  const stored = readStored(placeOf(cacheDirectory, programs));
  if (stored === undefined || !isUnchanged(stored)) return undefined;
  const narHash = makeSha256(Uint8Array.from(Buffer.from(stored.narHash, "hex")));
  return { narHash, narSize: stored.narSize, ...(stored.shell !== undefined && { shell: stored.shell }) };
}

/** Keeps a world that was archived from this tree. A cache that cannot be written is passed over: it only costs time. */
export function keepWorld(
  cacheDirectory: string,
  programs: readonly string[],
  tree: HostTree,
  world: KnownWorld,
): void {
  const stored: Stored = {
    format,
    programs: sorted(programs),
    narHash: Buffer.from(world.narHash.bytes).toString("hex"),
    narSize: world.narSize,
    ...(world.shell !== undefined && { shell: world.shell }),
    paths: [...tree.seen.keys()],
    stats: [...tree.seen.values()].flatMap(numbersOf),
    absent: [...tree.absent],
  };
  const place = placeOf(cacheDirectory, programs);
  const temporary = `${place}.${randomUUID()}`;
  try {
    mkdirSync(dirname(place), { recursive: true, mode: 0o700 });
    writeFileSync(temporary, JSON.stringify(stored), { mode: 0o600, flag: "wx" });
    renameSync(temporary, place);
  } catch {
    discard(temporary);
  }
}

/** Throws WORLD_CHANGED if a file is not as it was when it was selected. */
export function assertUnchanged(tree: HostTree): void {
  for (const [path, seen] of tree.seen)
    if (!isAsSeen(path, numbersOf(seen), 0)) throw new DefinitionError("WORLD_CHANGED", { path });
}

function isUnchanged({ paths, stats, absent }: Stored): boolean {
  return (
    paths.every((path, index) => isAsSeen(path, stats, index * 4)) &&
    absent.every((path) => findStats(path) === undefined)
  );
}

function isAsSeen(path: string, numbers: readonly number[], at: number): boolean {
  const stats = findStats(path);
  return (
    stats !== undefined &&
    stats.ino === numbers[at] &&
    stats.size === numbers[at + 1] &&
    stats.mtimeMs === numbers[at + 2] &&
    stats.ctimeMs === numbers[at + 3]
  );
}

function findStats(path: string) {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined; // a parent that is no directory any more
  }
}

function numbersOf(seen: SeenFile): number[] {
  return [seen.inode, seen.size, seen.modifiedAtMs, seen.changedAtMs];
}

function readStored(place: string): Stored | undefined {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(place, "utf8"));
  } catch {
    return undefined;
  }
  return isStored(value) ? value : undefined;
}

/** By hand, because it is on the path of each command and there are thousands of entries. */
function isStored(value: unknown): value is Stored {
  if (typeof value !== "object" || value === null) return false;
  const stored = value as Partial<Record<keyof Stored, unknown>>;
  return (
    stored.format === format &&
    typeof stored.narHash === "string" &&
    /^[0-9a-f]{64}$/.test(stored.narHash) &&
    typeof stored.narSize === "number" &&
    (stored.shell === undefined || typeof stored.shell === "string") &&
    Array.isArray(stored.paths) &&
    stored.paths.length > 0 &&
    stored.paths.every((path) => typeof path === "string") &&
    Array.isArray(stored.stats) &&
    stored.stats.length === stored.paths.length * 4 &&
    stored.stats.every((number) => typeof number === "number") &&
    Array.isArray(stored.absent) &&
    stored.absent.every((path) => typeof path === "string")
  );
}

function discard(file: string): void {
  try {
    rmSync(file, { force: true });
  } catch {
    // Where it cannot be removed it could not be made either: the cache's place is no directory, or not ours.
  }
}

function placeOf(cacheDirectory: string, programs: readonly string[]): string {
  const key = createHash("sha256").update(JSON.stringify([format, process.arch, sorted(programs), hostToolsText]));
  return join(cacheDirectory, "worlds", `${key.digest("hex").slice(0, 32)}.json`);
}

function sorted(programs: readonly string[]): string[] {
  return [...new Set(programs)].sort();
}
