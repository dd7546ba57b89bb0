/**
 * Messages over a socket, for either side: what is sent in one turn of the event loop goes out in one write, a message
 * that is longer than a frame goes in parts, and what comes in is checked before anyone sees it.
 */
import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import { CloisterError } from "../../derivations/error.ts";
import { ProtocolError } from "./errors.ts";
import { bodyLength, bodyOf, decodeBody, encodeChunkHead, encodeFrame, FrameReader } from "./frames.ts";
import { limits, type Message, parseMessage } from "./messages.ts";

export interface ChannelOptions {
  readonly onMessage: (message: Message) => void;
  /** The peer broke the protocol; nothing more is read. The owner says so to the peer, or not, and closes. */
  readonly onBroken: (error: CloisterError) => void;
  /** Once, after the last message. */
  readonly onClose: (error: Error | undefined) => void;
  /** For what comes in parts, in bytes. */
  readonly messageLimitBytes: number;
  /** With more unsent bytes than this nothing more is read: who does not take answers cannot ask for more. */
  readonly unsentLimitBytes?: number;
}

/** Below this, pieces are copied into one write; above, they are handed to the kernel as they are. */
const copyLimitBytes = 32 * 1024;

/** Too short to be seen, long enough that a short build's events leave together with its result. */
const unhurriedMs = 3;

export class MessageChannel {
  readonly socket: Socket;
  readonly #options: ChannelOptions;
  readonly #reader = new FrameReader();
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #flushing = false;
  #timer: NodeJS.Timeout | undefined;
  #broken = false;
  #parts: Uint8Array[] = [];
  #partsBytes = 0;
  #drained: PromiseWithResolvers<void> | undefined;
  #error: Error | undefined;

  constructor(socket: Socket, options: ChannelOptions) {
    this.socket = socket;
    this.#options = options;
    socket.on("data", (piece: Buffer) => this.#receive(piece));
    socket.on("drain", () => this.#onDrain());
    socket.on("error", (error) => {
      this.#error = error;
    });
    socket.on("close", () => {
      clearTimeout(this.#timer);
      this.#drained?.resolve();
      options.onClose(this.#error);
    });
  }

  /** Bytes that the kernel has not taken yet. */
  get unsentBytes(): number {
    return this.#queuedBytes + this.socket.writableLength;
  }

  send(message: Message): void {
    this.#sendFrame(encodeFrame(message));
    this.#flushSoon();
  }

  /**
   * For what nobody waits for, such as the events of builds: it goes out in order with all else, some milliseconds later
   * or with the next message, for each write wakes the peer up, and the builds have better use for the processor.
   */
  sendUnhurried(message: Message): void {
    this.#sendFrame(encodeFrame(message));
    if (this.#flushing || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => this.#flush(), unhurriedMs);
  }

  #sendFrame(frame: Buffer): void {
    if (bodyLength(frame) <= limits.frameBytes) this.#enqueue(frame);
    else this.#sendParts(bodyOf(frame));
  }

  #sendParts(body: Buffer): void {
    for (let at = 0; at < body.length; at += limits.chunkBytes) {
      const bytes = body.subarray(at, at + limits.chunkBytes);
      this.#enqueue(
        encodeFrame({ kind: "part", bytes, last: at + limits.chunkBytes >= body.length } satisfies Message),
      );
    }
  }

  /** A chunk whose bytes are not copied: they must not change any more. */
  sendChunk(id: number, bytes: Uint8Array): void {
    this.#enqueue(encodeChunkHead(id, bytes.length));
    this.#enqueue(bytes);
    this.#flushSoon();
  }

  /** Resolves when the kernel has taken what was sent so far, or the socket is closed. */
  async drained(): Promise<void> {
    this.#flush();
    if (!this.socket.writableNeedDrain || this.socket.destroyed) return;
    this.#drained ??= Promise.withResolvers<void>();
    await this.#drained.promise;
  }

  /** Sends what is queued and closes; the peer gets `graceMs` to take it. */
  close(graceMs = 1000): void {
    this.#broken = true;
    this.#flush();
    if (this.socket.destroyed) return;
    this.socket.end();
    const timer = setTimeout(() => this.socket.destroy(), graceMs);
    timer.unref();
    this.socket.once("close", () => clearTimeout(timer));
    this.socket.resume(); // what still comes is dropped, so that the end is seen
  }

  #enqueue(bytes: Uint8Array): void {
    if (this.socket.destroyed) return;
    this.#queue.push(bytes);
    this.#queuedBytes += bytes.length;
  }

  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    process.nextTick(() => this.#flush());
  }

  #flush(): void {
    this.#flushing = false;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const queue = this.#queue;
    if (queue.length === 0) return;
    const size = this.#queuedBytes;
    this.#queue = [];
    this.#queuedBytes = 0;
    if (this.socket.destroyed) return;

    if (queue.length === 1) this.socket.write(queue[0] as Uint8Array);
    else if (size <= copyLimitBytes) this.socket.write(Buffer.concat(queue, size));
    else {
      this.socket.cork();
      for (const piece of queue) this.socket.write(piece);
      this.socket.uncork();
    }
    const limit = this.#options.unsentLimitBytes;
    if (limit !== undefined && this.socket.writableLength > limit) this.socket.pause();
  }

  #onDrain(): void {
    this.#drained?.resolve();
    this.#drained = undefined;
    if (this.socket.isPaused()) this.socket.resume();
  }

  #receive(piece: Buffer): void {
    if (this.#broken) return;
    try {
      this.#reader.push(piece, (body) => {
        if (!this.#broken) this.#take(body);
      });
    } catch (error) {
      this.#broken = true;
      this.#options.onBroken(error instanceof CloisterError ? error : internalError(error));
    }
  }

  #take(body: Buffer): void {
    const message = parseMessage(decodeBody(body));
    if (message.kind === "part") {
      this.#takePart(message.bytes, message.last);
      return;
    }
    if (this.#parts.length > 0)
      throw new ProtocolError("PROTOCOL_MESSAGE_INVALID", { reason: "parts of another message are not complete" });
    this.#options.onMessage(message);
  }

  #takePart(bytes: Uint8Array, last: boolean): void {
    this.#partsBytes += bytes.length;
    const limit = this.#options.messageLimitBytes;
    if (this.#partsBytes > limit)
      throw new ProtocolError("PROTOCOL_MESSAGE_TOO_LONG", { bytes: this.#partsBytes, limit });
    this.#parts.push(bytes);
    if (!last) return;
    const whole = Buffer.concat(this.#parts, this.#partsBytes);
    this.#parts = [];
    this.#partsBytes = 0;
    const message = parseMessage(decodeBody(whole));
    if (message.kind === "part") throw new ProtocolError("PROTOCOL_MESSAGE_INVALID", { reason: "a part holds a part" });
    this.#options.onMessage(message);
  }
}

function internalError(error: unknown): CloisterError {
  const reason = error instanceof Error ? error.message : String(error);
  return new ProtocolError("INTERNAL_ERROR", { method: "reading a message", reason }, { cause: error });
}
