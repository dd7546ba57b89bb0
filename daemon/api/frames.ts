/**
 * Frames of the msgpack protocol: four bytes of length (big endian, of the body alone), then the body, one msgpack
 * value. What comes in is walked before it is decoded: no extension types, no depth or count that would cost more
 * than its own bytes. Source of the encoding: github.com/msgpack/msgpack, spec.md.
 */
import { Buffer } from "node:buffer";
import { Packr, RESERVE_START_SPACE } from "msgpackr/pack";
import { ProtocolError } from "./errors.ts";

/** The longest body that either side takes, in bytes. */
export const frameLimitBytes = 1024 * 1024;

/** How deep arrays and maps may lie in each other; a listing of the deepest tree needs less than half of it. */
export const nestingLimit = 256;

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

/** Decodes a body. Byte strings in it are views of `body`. Throws PROTOCOL_FRAME_INVALID. */
export function decodeBody(body: Buffer): unknown {
  checkBody(body);
  return codec.unpack(body);
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

/**
 * Walks a body without making anything of it. `open[depth]` counts the values that the innermost container still
 * waits for; a map waits for two per entry, and each second one, counted from the front, must be a text.
 */
function checkBody(body: Buffer): void {
  const refuse = (offset: number, reason: string) => new ProtocolError("PROTOCOL_FRAME_INVALID", { offset, reason });
  const open: number[] = [1];
  const isMap: boolean[] = [false];
  let depth = 0;
  let at = 0;

  while (depth >= 0) {
    const left = open[depth] as number;
    if (left === 0) {
      --depth;
      continue;
    }
    open[depth] = left - 1;
    const start = at;
    const token = body[at++];
    if (token === undefined) throw refuse(start, "it ends where a value was expected");

    let skip = 0; // bytes of a scalar's payload
    let count = -1; // values of a container
    let isText = false;
    let map = false;
    if (token < 0x80 || token >= 0xe0) skip = 0;
    else if (token < 0x90) {
      count = (token & 0x0f) * 2;
      map = true;
    } else if (token < 0xa0) count = token & 0x0f;
    else if (token < 0xc0) {
      skip = token & 0x1f;
      isText = true;
    } else {
      switch (token) {
        case 0xc0: // nil, false, true
        case 0xc2:
        case 0xc3:
          break;
        case 0xc4: // bin and str, with lengths of 1, 2 and 4 bytes
        case 0xd9:
          skip = 1 + lengthAt(body, at, 1, refuse);
          isText = token === 0xd9;
          break;
        case 0xc5:
        case 0xda:
          skip = 2 + lengthAt(body, at, 2, refuse);
          isText = token === 0xda;
          break;
        case 0xc6:
        case 0xdb:
          skip = 4 + lengthAt(body, at, 4, refuse);
          isText = token === 0xdb;
          break;
        case 0xcc: // numbers of 1, 2, 4 and 8 bytes
        case 0xd0:
          skip = 1;
          break;
        case 0xcd:
        case 0xd1:
          skip = 2;
          break;
        case 0xca:
        case 0xce:
        case 0xd2:
          skip = 4;
          break;
        case 0xcb:
        case 0xcf:
        case 0xd3:
          skip = 8;
          break;
        case 0xdc:
        case 0xde:
          count = lengthAt(body, at, 2, refuse) * (token === 0xde ? 2 : 1);
          map = token === 0xde;
          at += 2;
          break;
        case 0xdd:
        case 0xdf:
          count = lengthAt(body, at, 4, refuse) * (token === 0xdf ? 2 : 1);
          map = token === 0xdf;
          at += 4;
          break;
        default: // 0xc1 and the extension types
          throw refuse(start, "there is a type that is not used here");
      }
    }

    if (isMap[depth] === true && left % 2 === 0 && !isText) throw refuse(start, "a map has a key that is not a text");
    at += skip;
    if (at > body.length) throw refuse(start, "a value is longer than the frame");
    if (count < 0) continue;
    if (count > body.length - at) throw refuse(start, "a list or map has more entries than the frame has bytes");
    if (++depth >= nestingLimit) throw refuse(start, `values are nested deeper than ${nestingLimit} levels`);
    open[depth] = count;
    isMap[depth] = map;
  }
  if (at !== body.length) throw refuse(at, "more bytes follow the value");
}

function lengthAt(
  body: Buffer,
  at: number,
  size: 1 | 2 | 4,
  refuse: (offset: number, reason: string) => Error,
): number {
  if (at + size > body.length) throw refuse(at, "a length is cut off");
  return size === 1 ? (body[at] as number) : size === 2 ? body.readUInt16BE(at) : body.readUInt32BE(at);
}
