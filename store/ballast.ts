/**
 * A file of zeros that is only there to be deleted: when the disk is full to the last byte, it gives the collector's own
 * transactions room. Nix keeps the same file at the same place.
 */
import { open, rename, rm, stat } from "node:fs/promises";
import { isDiskFull } from "./errors.ts";

/** In bytes; Nix's default. */
export const ballastSize = 8 * 1024 * 1024;

export class Ballast {
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  /** Writes it where it lacks. False if the disk has no room for it now. */
  async fill(): Promise<boolean> {
    if ((await this.#size()) === ballastSize) return true;
    const temporary = `${this.#file}.new`;
    try {
      const file = await open(temporary, "w", 0o600);
      try {
        const zeros = Buffer.alloc(1024 * 1024);
        for (let written = 0; written < ballastSize; written += zeros.length) await file.write(zeros);
      } finally {
        await file.close();
      }
      await rename(temporary, this.#file);
      return true;
    } catch (error) {
      await rm(temporary, { force: true });
      if (isDiskFull(error)) return false;
      throw error;
    }
  }

  /** Deletes it. False if it was not there. */
  async drop(): Promise<boolean> {
    const wasThere = (await this.#size()) > 0;
    await rm(this.#file, { force: true });
    return wasThere;
  }

  async #size(): Promise<number> {
    try {
      return (await stat(this.#file)).size;
    } catch {
      return 0;
    }
  }
}
