/** A build's log on its way: every byte to its file, which is made at the first one, and the tail kept for the news of a failure. */
import { Buffer } from "node:buffer";
import type { LogWriter } from "../../store/build-logs.ts";
import type { Store } from "../../store/store.ts";

/** How much of the end is kept in memory: 25 lines, unless they are very long. */
const tailBytes = 64 * 1024;

export class BuildLog {
  readonly #store: Store;
  readonly #recordId: string;
  #writer: LogWriter | undefined;
  #tail: Uint8Array[] = [];
  #tailLength = 0;

  constructor(store: Store, recordId: string) {
    this.#store = store;
    this.#recordId = recordId;
  }

  write(bytes: Uint8Array): void {
    this.#writer ??= this.#store.logs.openLog(this.#recordId);
    this.#writer.write(bytes);
    this.#tail.push(bytes);
    this.#tailLength += bytes.length;
    if (this.#tailLength > 2 * tailBytes) this.#cutTail();
  }

  close(): void {
    this.#writer?.close();
  }

  /** Relative to the log directory; undefined while nothing was written. */
  get file(): string | undefined {
    return this.#writer?.file;
  }

  /** The last lines, without their line ends; a last line without an end counts. The first may be cut if lines are long. */
  lastLines(count: number): Uint8Array[] {
    if (this.#tailLength === 0) return [];
    const tail = Buffer.concat(this.#tail);
    const lines: Uint8Array[] = [];
    let end = tail.at(-1) === lineFeed ? tail.length - 1 : tail.length;
    while (lines.length < count && end >= 0) {
      const start = end === 0 ? 0 : tail.lastIndexOf(lineFeed, end - 1) + 1;
      lines.push(tail.subarray(start, end));
      end = start - 1;
    }
    return lines.reverse();
  }

  #cutTail(): void {
    const tail = Buffer.concat(this.#tail);
    this.#tail = [Buffer.from(tail.subarray(tail.length - tailBytes))];
    this.#tailLength = tailBytes;
  }
}

const lineFeed = 0x0a;
