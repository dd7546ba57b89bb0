/**
 * What the valid paths hold, for whoever watches. Summed in short pieces between other work; what was registered since is
 * added, and after paths have gone all is summed again, once a minute at the most.
 */
import { setImmediate as pause } from "node:timers/promises";
import type { Connection } from "./database.ts";

/** How many rows are read at once: some tenths of a millisecond. */
const rowsAtOnce = 2000;
const againAfterMs = 60_000;

export class StoreSize {
  readonly #sumAfter;
  readonly #countPaths: () => number;
  readonly #nowMs: () => number;
  #narBytes = 0;
  #paths = 0;
  #lastId = 0;
  #begunAtMs = Number.NEGATIVE_INFINITY;
  #running: Promise<void> | undefined;

  constructor(connection: Connection, countPaths: () => number, nowMs: () => number = Date.now) {
    this.#sumAfter = connection.prepare<[number, number], Piece>(
      `select count(*) as count, coalesce(sum(narSize), 0) as bytes, max(id) as lastId
         from (select id, narSize from ValidPaths where id > ? order by id limit ?)`,
    );
    this.#countPaths = countPaths;
    this.#nowMs = nowMs;
  }

  /** The sum of all archives in bytes, as of now or, after a deletion, of a minute ago at the most. */
  async narBytes(): Promise<number> {
    this.#running ??= this.#refresh().finally(() => {
      this.#running = undefined;
    });
    await this.#running;
    return this.#narBytes;
  }

  async #refresh(): Promise<void> {
    await this.#addNew();
    if (this.#paths === this.#countPaths() || this.#nowMs() - this.#begunAtMs < againAfterMs) return;
    this.#begunAtMs = this.#nowMs();
    this.#narBytes = 0;
    this.#paths = 0;
    this.#lastId = 0;
    await this.#addNew();
  }

  async #addNew(): Promise<void> {
    for (;;) {
      const piece = this.#sumAfter.get(this.#lastId, rowsAtOnce);
      if (piece === undefined || piece.lastId === null) return;
      this.#narBytes += piece.bytes;
      this.#paths += piece.count;
      this.#lastId = piece.lastId;
      if (piece.count < rowsAtOnce) return;
      await pause();
    }
  }
}

interface Piece {
  readonly count: number;
  readonly bytes: number;
  readonly lastId: number | null;
}
