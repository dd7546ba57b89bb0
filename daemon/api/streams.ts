/** The two ends of a stream of bytes over a connection: one waits for its window, the other one extends it. */
import { ProtocolError } from "./errors.ts";
import { limits } from "./messages.ts";

/** The reading end: chunks are put in as they come, and taken out by one `for await`. */
export class IncomingStream implements AsyncIterable<Uint8Array> {
  readonly #id: number;
  readonly #sendCredit: (bytes: number) => void;
  #chunks: Uint8Array[] = [];
  #heldBytes = 0;
  #owedBytes = 0;
  #ended = false;
  #error: Error | undefined;
  #waiting: PromiseWithResolvers<void> | undefined;
  #onReturn: (() => void) | undefined;

  constructor(id: number, sendCredit: (bytes: number) => void, onReturn?: () => void) {
    this.#id = id;
    this.#sendCredit = sendCredit;
    this.#onReturn = onReturn;
  }

  /** Throws PROTOCOL_WINDOW_EXCEEDED. */
  push(bytes: Uint8Array): void {
    if (this.#ended || bytes.length === 0) return;
    this.#heldBytes += bytes.length;
    if (this.#heldBytes + this.#owedBytes > limits.windowBytes)
      throw new ProtocolError("PROTOCOL_WINDOW_EXCEEDED", { id: this.#id, limit: limits.windowBytes });
    this.#chunks.push(bytes);
    this.#wake();
  }

  /** No more will come; with an error the reader gets it after what is there. */
  end(error?: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for (;;) {
        const chunks = this.#chunks;
        this.#chunks = [];
        for (const chunk of chunks) {
          this.#consume(chunk.length);
          yield chunk;
        }
        if (this.#chunks.length > 0) continue;
        if (this.#ended) break;
        this.#waiting = Promise.withResolvers<void>();
        await this.#waiting.promise;
      }
      if (this.#error !== undefined) throw this.#error;
    } finally {
      const onReturn = this.#ended ? undefined : this.#onReturn;
      this.#ended = true;
      this.#chunks = [];
      onReturn?.();
    }
  }

  #consume(bytes: number): void {
    this.#heldBytes -= bytes;
    this.#owedBytes += bytes;
    if (this.#owedBytes * 4 < limits.windowBytes || this.#ended) return;
    const credit = this.#owedBytes;
    this.#owedBytes = 0;
    this.#sendCredit(credit);
  }

  #wake(): void {
    this.#waiting?.resolve();
    this.#waiting = undefined;
  }
}

/** The writing end's window. */
export class Window {
  #bytes: number = limits.windowBytes;
  #closed = false;
  #waiting: PromiseWithResolvers<void> | undefined;

  /** Credit from the reader. */
  extend(bytes: number): void {
    this.#bytes += bytes;
    this.#waiting?.resolve();
    this.#waiting = undefined;
  }

  /** Nobody reads any more: who waits gets 0. */
  close(): void {
    this.#closed = true;
    this.#waiting?.resolve();
    this.#waiting = undefined;
  }

  /** Takes up to so many bytes of the window, waiting while it is empty; 0 when it is closed. */
  async take(wanted: number): Promise<number> {
    while (this.#bytes === 0 && !this.#closed) {
      this.#waiting ??= Promise.withResolvers<void>();
      await this.#waiting.promise;
    }
    if (this.#closed) return 0;
    const taken = Math.min(wanted, this.#bytes, limits.chunkBytes);
    this.#bytes -= taken;
    return taken;
  }
}

export interface ChunkSink {
  sendChunk(id: number, bytes: Uint8Array): void;
  drained(): Promise<void>;
}

/** Sends a stream as chunks. False if the window was closed before its end; then the source is ended early. */
export async function sendStream(
  sink: ChunkSink,
  id: number,
  window: Window,
  source: AsyncIterable<Uint8Array>,
): Promise<boolean> {
  for await (const piece of source) {
    for (let at = 0; at < piece.length; ) {
      const taken = await window.take(piece.length - at);
      if (taken === 0) return false;
      sink.sendChunk(id, piece.subarray(at, at + taken));
      at += taken;
      await sink.drained();
    }
  }
  return true;
}
