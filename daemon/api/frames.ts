/**
 * Frames of the msgpack protocol: four bytes of length (big endian, of the body alone), then the body, one msgpack value.
 */
import { Buffer } from "node:buffer";
import { Packr, RESERVE_START_SPACE } from "msgpackr/pack";
import { ProtocolError } from "./errors.ts";
import { decodeMsgpack } from "./msgpack-decode.ts";

/** The longest body that either side takes, in bytes. */
export const frameLimitBytes = 1024 * 1024;

const headBytes = 4;

/** Nothing but plain msgpack: no records, no references, no extension classes; a bigint is a 64-bit integer. */
const codec = new Packr({ useRecords: false, moreTypes: false, structuredClone: false, encodeUndefinedAsNil: true });

const noBytes = Buffer.alloc(0);

/** Head and body in one buffer; it may be longer than the limit, and must then be sent in parts. */
export function encodeFrame(message: object): Buffer {
  const frame = codec.pack(message, RESERVE_START_SPACE | headBytes);
  frame.writeUInt32BE(frame.length - headBytes);
  return frame;
}

/** A frame of `{ kind: "chunk", id, bytes }` up to where the bytes begin, so that they need not be copied. */
export function encodeChunkHead(id: number, byteCount: number): Buffer {
  const empty = codec.pack({ kind: "chunk", id, bytes: noBytes }, RESERVE_START_SPACE | headBytes);
  const head = Buffer.allocUnsafe(empty.length + 3); // bin 8 of length 0 becomes bin 32
  empty.copy(head);
  head[empty.length - 2] = 0xc6;
  head.writeUInt32BE(byteCount, empty.length - 1);
  head.writeUInt32BE(head.length - headBytes + byteCount);
  return head;
}

/** The number of bytes of a frame's body. */
export function bodyLength(frame: Buffer): number {
  return frame.length - headBytes;
}

/** The body without its head. */
export function bodyOf(frame: Buffer): Buffer {
  return frame.subarray(headBytes);
}

/** Byte strings in the value are views of `body`. Throws PROTOCOL_FRAME_INVALID. */
export function decodeBody(body: Buffer): unknown {
  return decodeMsgpack(body);
}

/** Cuts a stream into bodies. Holds at most one unfinished frame. */
export class FrameReader {
  readonly #limit: number;
  readonly #head = Buffer.alloc(headBytes);
  #headFilled = 0;
  #body: Buffer | undefined;
  #filled = 0;

  constructor(limitBytes = frameLimitBytes) {
    this.#limit = limitBytes;
  }

  /** Whether the stream is inside a frame, so that its end would cut one off. */
  get unfinished(): boolean {
    return this.#headFilled > 0;
  }

  /** Calls `onBody` for each body that `piece` completes; it may be a view of `piece`. Throws PROTOCOL_FRAME_TOO_LONG. */
  push(piece: Buffer, onBody: (body: Buffer) => void): void {
    let at = 0;
    while (at < piece.length) {
      if (this.#headFilled < headBytes) {
        const count = Math.min(headBytes - this.#headFilled, piece.length - at);
        piece.copy(this.#head, this.#headFilled, at, at + count);
        this.#headFilled += count;
        at += count;
        if (this.#headFilled < headBytes) return;
      }

      const length = this.#body?.length ?? this.#readLength();
      if (this.#body === undefined && piece.length - at >= length) {
        this.#headFilled = 0;
        onBody(piece.subarray(at, at + length));
        at += length;
        continue;
      }

      this.#body ??= Buffer.allocUnsafe(length);
      const body = this.#body;
      const count = Math.min(length - this.#filled, piece.length - at);
      piece.copy(body, this.#filled, at, at + count);
      this.#filled += count;
      at += count;
      if (this.#filled < length) return;
      this.#body = undefined;
      this.#filled = 0;
      this.#headFilled = 0;
      onBody(body);
    }
  }

  #readLength(): number {
    const length = this.#head.readUInt32BE();
    if (length > this.#limit) throw new ProtocolError("PROTOCOL_FRAME_TOO_LONG", { bytes: length, limit: this.#limit });
    if (length === 0) throw new ProtocolError("PROTOCOL_FRAME_INVALID", { offset: 0, reason: "it is empty" });
    return length;
  }
}
