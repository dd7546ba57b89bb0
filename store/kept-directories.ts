/**
 * What builds that failed have left in their build directories, for whoever asked to have it kept: one archive each, in a
 * directory that only the daemon's own user may enter. A builder's modes and owners are not in an archive, so nothing of
 * it is anybody's before a client unpacks it. Bounded by number, size and age: the oldest go first.
 */
import { constants } from "node:fs";
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";

export interface KeptLimits {
  readonly most: number;
  /** Of all together; one alone has at most half of it. */
  readonly mostBytes: number;
  readonly mostAgeMs: number;
}

const defaultKeptLimits: KeptLimits = {
  most: 32,
  mostBytes: 4 * 1024 ** 3,
  mostAgeMs: 7 * 24 * 60 * 60 * 1000,
};

const ending = ".nar";
/** Of one that is being written. */
const unfinished = ".partial";

export class KeptDirectories {
  readonly #directory: string;
  readonly #limits: KeptLimits;
  readonly #nowMs: () => number;
  /** Being written by this process. */
  readonly #writing = new Set<string>();

  /** `directory` is made when it is first needed. */
  constructor(directory: string, options: { readonly limits?: KeptLimits; readonly nowMs: () => number }) {
    this.#directory = directory;
    this.#limits = options.limits ?? defaultKeptLimits;
    this.#nowMs = options.nowMs;
  }

  /** How large one may be. */
  get mostBytes(): bigint {
    return BigInt(Math.floor(this.#limits.mostBytes / 2));
  }

  /** Keeps what `write` writes into the file under this id, a name of ours; what throws leaves nothing. */
  async keep<Written>(id: string, write: (file: FileHandle) => Promise<Written>): Promise<Written> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const name = `${id}${ending}${unfinished}`;
    const partial = join(this.#directory, name);
    this.#writing.add(name);
    try {
      const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
      const file = await open(partial, flags, 0o600);
      try {
        const written = await write(file);
        await rename(partial, this.#fileOf(id));
        return written;
      } catch (error) {
        await rm(partial, { force: true });
        throw error;
      } finally {
        await file.close();
      }
    } finally {
      this.#writing.delete(name);
      await this.prune();
    }
  }

  /** Undefined if nothing is kept under this id, or not any more. */
  async find(id: string): Promise<FileHandle | undefined> {
    if (!/^[a-z0-9]+$/.test(id)) return undefined;
    try {
      return await open(this.#fileOf(id), constants.O_RDONLY | constants.O_NOFOLLOW);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
  }

  /** Removes what is too old, the oldest while there is too much, and what a dead daemon had begun. */
  async prune(): Promise<void> {
    const kept = await this.#list();
    kept.sort((one, other) => other.writtenAtMs - one.writtenAtMs);
    const oldestMs = this.#nowMs() - this.#limits.mostAgeMs;
    let bytes = 0;
    for (const [index, { name, size, writtenAtMs }] of kept.entries()) {
      bytes += size;
      if (index < this.#limits.most && bytes <= this.#limits.mostBytes && writtenAtMs >= oldestMs) continue;
      await rm(join(this.#directory, name), { force: true });
    }
  }

  async #list() {
    const names = await readdir(this.#directory).catch(() => [] as string[]); // there is none before the first
    const kept: { name: string; size: number; writtenAtMs: number }[] = [];
    for (const name of names) {
      if (this.#writing.has(name)) continue;
      const status = await stat(join(this.#directory, name)).catch(() => undefined);
      if (status === undefined) continue;
      const writtenAtMs = name.endsWith(unfinished) ? Number.NEGATIVE_INFINITY : status.mtimeMs;
      kept.push({ name, size: status.size, writtenAtMs });
    }
    return kept;
  }

  #fileOf(id: string): string {
    return join(this.#directory, `${id}${ending}`);
  }
}
