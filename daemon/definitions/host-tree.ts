/**
 * A selection of this host's files: what was taken, with the reason, in the host's own layout (symbolic links stay
 * symbolic links, and what they point to is taken too), and all that was looked at, so that a cache can tell later
 * whether the same selection would come out again.
 */
import { lstatSync, readdirSync, readlinkSync, type Stats } from "node:fs";
import { join } from "node:path";
import { DefinitionError } from "./errors.ts";

export type HostEntry = { readonly path: string; readonly why: string } & (
  | { readonly kind: "file"; readonly size: number; readonly executable: boolean }
  | { readonly kind: "symlink"; readonly target: string }
  | { readonly kind: "directory" }
  /** Made by us: it is not on the host. */
  | { readonly kind: "empty-file" }
);

/** What tells whether a file is still the one that was seen. Times in milliseconds, with fractions. */
export interface SeenFile {
  readonly inode: number;
  readonly size: number;
  readonly modifiedAtMs: number;
  readonly changedAtMs: number;
}

export class HostTree {
  /** By absolute path with no symbolic link in it (but for the last part of a link's own). */
  readonly entries = new Map<string, HostEntry>();
  /** Files, links, and directories that were listed; a new or renamed entry changes its directory. */
  readonly seen = new Map<string, SeenFile>();
  /** What was looked for in vain, and would be taken if it came. */
  readonly absent = new Set<string>();

  readonly #refusedTops: ReadonlySet<string>;
  readonly #onFile: (path: string, entry: HostEntry, isAsked: boolean) => void;

  /** `onFile` is told of each regular file once, and whether it was asked for by name or came with a whole directory. */
  constructor(
    refusedTops: readonly string[],
    onFile: (path: string, entry: HostEntry, isAsked: boolean) => void = () => {},
  ) {
    this.#refusedTops = new Set(refusedTops);
    this.#onFile = onFile;
  }

  /**
   * Takes one path and the links on the way to it; of a directory nothing but itself. Returns its real path and the
   * last names that led there, or undefined if it does not exist. Throws WORLD_PATH_UNUSABLE.
   */
  take(path: string, why: string): { readonly realPath: string; readonly names: readonly string[] } | undefined {
    const names: string[] = [];
    let current = "/";
    let rest = partsOf(path);
    for (let links = 0; rest.length > 0; ) {
      const [name = "", ...after] = rest;
      if (name === "..") {
        current = join(current, "..");
        rest = after;
        continue;
      }
      const next = join(current, name);
      const stats = this.#look(next);
      if (stats === undefined) return undefined;
      if (current === "/" && this.#refusedTops.has(name))
        throw this.#refuse(path, why, `a build has a /${name} of its own`);
      if (after.length === 0) names.push(name);

      if (stats.isSymbolicLink()) {
        if (++links > 40) throw this.#refuse(path, why, "it has too many symbolic links one after another");
        const target = readlinkSync(next);
        this.#see(next, stats);
        this.#add({ path: next, kind: "symlink", target, why });
        if (target.startsWith("/")) current = "/";
        rest = [...partsOf(target), ...after];
        continue;
      }
      if (after.length > 0 && !stats.isDirectory()) return undefined;
      this.#addPlain(next, stats, why, true);
      current = next;
      rest = after;
    }
    return { realPath: current, names };
  }

  /** Takes a path and, if it is a directory, all below it, but for names in `without`. False if there is no such path. */
  takeAll(path: string, why: string, without: readonly string[] = []): boolean {
    const taken = this.take(path, why);
    if (taken === undefined) return false;
    const entry = this.entries.get(taken.realPath);
    const pending = entry?.kind === "directory" ? [taken.realPath] : [];
    for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
      for (const name of this.list(directory)) {
        if (without.includes(name)) continue;
        const inner = join(directory, name);
        const stats = this.#look(inner);
        if (stats === undefined) continue; // gone since it was listed: the directory's stats tell
        if (stats.isSymbolicLink()) this.take(inner, why);
        else if (stats.isDirectory() || stats.isFile()) this.#addPlain(inner, stats, why, false);
        if (stats.isDirectory()) pending.push(inner);
      }
    }
    return true;
  }

  /** The names in a directory, sorted; none if it does not exist. Throws WORLD_PATH_UNUSABLE if it cannot be read. */
  list(directory: string): readonly string[] {
    const stats = this.#look(directory);
    if (stats === undefined) return [];
    this.#see(directory, stats);
    try {
      return readdirSync(directory).sort();
    } catch (error) {
      if (codeOf(error) === "ENOTDIR" || codeOf(error) === "ENOENT") return [];
      throw this.#refuse(directory, "listed", `it cannot be read (${codeOf(error)})`, error);
    }
  }

  /** A link or an empty file of our own, unless the host's own is taken there. */
  addMade(entry: HostEntry): void {
    for (const parent of parentsOf(entry.path)) this.#add({ path: parent, kind: "directory", why: entry.why });
    this.#add(entry);
  }

  /** Whether there is such a path, be it a link to nothing. */
  exists(path: string): boolean {
    return this.#look(path) !== undefined;
  }

  /** Remembers a file that is not taken, but whose contents decided what is. */
  note(path: string): void {
    const stats = this.#look(path);
    if (stats !== undefined) this.#see(path, stats);
  }

  #look(path: string): Stats | undefined {
    try {
      const stats = lstatSync(path, { throwIfNoEntry: false });
      if (stats === undefined) this.absent.add(path);
      return stats;
    } catch (error) {
      if (codeOf(error) !== "ENOTDIR")
        throw this.#refuse(path, "looked at", `it cannot be looked at (${codeOf(error)})`, error);
      this.absent.add(path);
      return undefined;
    }
  }

  #addPlain(path: string, stats: Stats, why: string, isAsked: boolean): void {
    if (stats.isDirectory()) {
      this.#add({ path, kind: "directory", why });
      return;
    }
    if (!stats.isFile()) throw this.#refuse(path, why, "it is neither a file nor a directory");
    if (this.entries.has(path)) return;
    this.#see(path, stats);
    const entry: HostEntry = { path, kind: "file", size: stats.size, executable: (stats.mode & 0o100) !== 0, why };
    this.#add(entry);
    this.#onFile(path, entry, isAsked);
  }

  #see(path: string, stats: Stats): void {
    if (!this.seen.has(path)) this.seen.set(path, seenOf(stats));
  }

  #add(entry: HostEntry): void {
    if (!this.entries.has(entry.path)) this.entries.set(entry.path, entry);
  }

  #refuse(path: string, why: string, reason: string, cause?: unknown) {
    return new DefinitionError("WORLD_PATH_UNUSABLE", { path, why, reason }, { cause });
  }
}

export function seenOf(stats: Stats): SeenFile {
  return { inode: stats.ino, size: stats.size, modifiedAtMs: stats.mtimeMs, changedAtMs: stats.ctimeMs };
}

/** The directories above a path, without the root, outermost first. */
export function parentsOf(path: string): string[] {
  const parts = partsOf(path);
  return parts.slice(0, -1).map((_, index) => `/${parts.slice(0, index + 1).join("/")}`);
}

function partsOf(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}
