/** How much the logs of builds take: looked at once, file by file and off everyone's path, then kept up by what changes. */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { errnoNameOf } from "./errors.ts";

export interface LogTotals {
  readonly files: number;
  readonly bytes: number;
}

export class LogSize {
  readonly #directory: string;
  #files = 0;
  #bytes = 0;
  #counted: Promise<void> | undefined;

  /** The directory may not be there yet. */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Costs nothing while nobody has asked: then all of it is found by looking. */
  note(change: LogTotals): void {
    if (this.#counted === undefined) return;
    this.#files += change.files;
    this.#bytes += change.bytes;
  }

  /** What changes while it looks for the first time may be counted twice or not at all. */
  async read(): Promise<LogTotals> {
    this.#counted ??= this.#count();
    await this.#counted;
    return { files: this.#files, bytes: this.#bytes };
  }

  async #count(): Promise<void> {
    for (const prefix of await namesIn(this.#directory)) {
      const directory = join(this.#directory, prefix);
      for (const name of await namesIn(directory)) {
        const size = await sizeOf(join(directory, name));
        if (size === undefined) continue;
        this.#files += 1;
        this.#bytes += size;
      }
    }
  }
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

function isGone(error: unknown): boolean {
  const name = errnoNameOf(error);
  return name === "ENOENT" || name === "ENOTDIR";
}
