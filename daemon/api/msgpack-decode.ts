/**
 * Decodes one msgpack value out of bytes that others wrote: nil, booleans, numbers, str, bin, arrays, and maps with
 * keys that are texts. Nothing else is taken, and nothing is made whose size the bytes do not pay for.
 * Source: github.com/msgpack/msgpack, spec.md.
 */
import type { Buffer } from "node:buffer";
import { ProtocolError } from "./errors.ts";

/** How deep arrays and maps may lie in each other; a listing of the deepest tree needs less than half of it. */
export const nestingLimit = 256;

/** A 64-bit integer becomes a bigint. Byte strings are views of `bytes`. Throws PROTOCOL_FRAME_INVALID. */
export function decodeMsgpack(bytes: Buffer): unknown {
  const decoder = new Decoder(bytes);
  const value = decoder.read(0);
  if (decoder.at !== bytes.length) throw refusal(decoder.at, "more bytes follow the value");
  return value;
}

class Decoder {
  readonly bytes: Buffer;
  at = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  read(depth: number): unknown {
    const start = this.at;
    const token = this.bytes[this.at++];
    if (token === undefined) throw refusal(start, "it ends where a value was expected");
    if (token < 0x80) return token;
    if (token >= 0xe0) return token - 0x100;
    if (token < 0x90) return this.#readMap(token & 0x0f, depth);
    if (token < 0xa0) return this.#readList(token & 0x0f, depth);
    if (token < 0xc0) return this.#readText(token & 0x1f);
    switch (token) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
        return this.#readBytes(this.bytes.readUInt8(this.#take(1)));
      case 0xc5:
        return this.#readBytes(this.bytes.readUInt16BE(this.#take(2)));
      case 0xc6:
        return this.#readBytes(this.bytes.readUInt32BE(this.#take(4)));
      case 0xca:
        return this.bytes.readFloatBE(this.#take(4));
      case 0xcb:
        return this.bytes.readDoubleBE(this.#take(8));
      case 0xcc:
        return this.bytes.readUInt8(this.#take(1));
      case 0xcd:
        return this.bytes.readUInt16BE(this.#take(2));
      case 0xce:
        return this.bytes.readUInt32BE(this.#take(4));
      case 0xcf:
        return this.bytes.readBigUInt64BE(this.#take(8));
      case 0xd0:
        return this.bytes.readInt8(this.#take(1));
      case 0xd1:
        return this.bytes.readInt16BE(this.#take(2));
      case 0xd2:
        return this.bytes.readInt32BE(this.#take(4));
      case 0xd3:
        return this.bytes.readBigInt64BE(this.#take(8));
      case 0xd9:
        return this.#readText(this.bytes.readUInt8(this.#take(1)));
      case 0xda:
        return this.#readText(this.bytes.readUInt16BE(this.#take(2)));
      case 0xdb:
        return this.#readText(this.bytes.readUInt32BE(this.#take(4)));
      case 0xdc:
        return this.#readList(this.bytes.readUInt16BE(this.#take(2)), depth);
      case 0xdd:
        return this.#readList(this.bytes.readUInt32BE(this.#take(4)), depth);
      case 0xde:
        return this.#readMap(this.bytes.readUInt16BE(this.#take(2)), depth);
      case 0xdf:
        return this.#readMap(this.bytes.readUInt32BE(this.#take(4)), depth);
      default: // 0xc1 and the extension types
        throw refusal(start, "there is a type that is not used here");
    }
  }

  /** Where the next `count` bytes begin. */
  #take(count: number): number {
    const start = this.at;
    if (count > this.bytes.length - start) throw refusal(start, "a value is longer than the frame");
    this.at = start + count;
    return start;
  }

  #readText(length: number): string {
    const start = this.#take(length);
    return this.bytes.toString("utf8", start, this.at);
  }

  #readBytes(length: number): Buffer {
    const start = this.#take(length);
    return this.bytes.subarray(start, this.at);
  }

  #readList(count: number, depth: number): unknown[] {
    this.#enter(count, depth);
    const values = new Array(count);
    for (let index = 0; index < count; ++index) values[index] = this.read(depth + 1);
    return values;
  }

  #readMap(count: number, depth: number): Record<string, unknown> {
    this.#enter(count * 2, depth);
    const map: Record<string, unknown> = {};
    for (let index = 0; index < count; ++index) {
      const start = this.at;
      const key = this.#readKey();
      if (key === "__proto__") throw refusal(start, "a map has a key that no field has");
      map[key] = this.read(depth + 1);
    }
    return map;
  }

  #readKey(): string {
    const start = this.at;
    const token = this.bytes[start];
    if (token !== undefined && token >= 0xa0 && token < 0xc0) {
      this.at = start + 1;
      return this.#readText(token & 0x1f);
    }
    const key = this.read(nestingLimit - 1);
    if (typeof key !== "string") throw refusal(start, "a map has a key that is not a text");
    return key;
  }

  /** Each value takes a byte at least, so a count that is greater than what is left is not believed. */
  #enter(count: number, depth: number): void {
    if (count > this.bytes.length - this.at)
      throw refusal(this.at, "a list or map has more entries than the frame has bytes");
    if (depth >= nestingLimit - 1) throw refusal(this.at, `values are nested deeper than ${nestingLimit} levels`);
  }
}

function refusal(offset: number, reason: string): Error {
  return new ProtocolError("PROTOCOL_FRAME_INVALID", { offset, reason });
}
