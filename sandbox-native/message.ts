/**
 * Reads and writes the bodies of the packets to and from the launcher (`src/core/message.h`): numbers little-endian, byte
 * strings with their length before them, lists with their count.
 */
import { Buffer } from "node:buffer";

/**
 * Writes a body, into one buffer that grows: an order has thousands of small parts. What `finish` returns holds until the
 * next writer is made, for most of them share one buffer: it is sent at once.
 */
export class MessageWriter {
  #buffer: Buffer = sharedBuffer;
  #length = 0;

  u8(value: number): this {
    this.#reserve(1);
    this.#length = this.#buffer.writeUInt8(value, this.#length);
    return this;
  }
  u32(value: number): this {
    this.#reserve(4);
    this.#length = this.#buffer.writeUInt32LE(value, this.#length);
    return this;
  }
  u64(value: bigint | number): this {
    if (typeof value === "number") return this.u32(value % 2 ** 32).u32(Math.floor(value / 2 ** 32));
    this.#reserve(8);
    this.#length = this.#buffer.writeBigUInt64LE(value, this.#length);
    return this;
  }
  bytes(value: Uint8Array | string): this {
    if (typeof value !== "string") {
      this.u32(value.length).#reserve(value.length);
      this.#buffer.set(value, this.#length);
      this.#length += value.length;
      return this;
    }
    this.#reserve(4 + 3 * value.length); // UTF-8 takes at most three bytes for a unit of UTF-16
    const written = this.#buffer.write(value, this.#length + 4);
    this.u32(written);
    this.#length += written;
    return this;
  }
  list<Item>(items: readonly Item[], write: (item: Item) => void): this {
    this.u32(items.length);
    for (const item of items) write(item);
    return this;
  }
  texts(items: readonly (Uint8Array | string)[]): this {
    this.u32(items.length);
    for (const item of items) this.bytes(item);
    return this;
  }
  /** As `texts`, with a single write where all are short and ASCII, as names of store paths are: there may be thousands. */
  names(items: readonly string[]): this {
    let all = "";
    for (const item of items) all += `${shortLengths[item.length] ?? notAscii}${item}`;
    if (!isAscii.test(all)) return this.texts(items);
    this.u32(items.length).#reserve(all.length);
    this.#length += this.#buffer.write(all, this.#length, "latin1");
    return this;
  }
  finish(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }
  #reserve(size: number): void {
    if (this.#length + size <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(2 * this.#buffer.length, this.#length + size));
    larger.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = larger;
  }
}

/** Reads a body; a body that ends too early throws a RangeError, for it is ours on both sides. */
export class MessageReader {
  readonly #body: Buffer;
  #offset = 0;

  constructor(body: Uint8Array) {
    this.#body = Buffer.isBuffer(body) ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  }
  u8(): number {
    return this.#body.readUInt8(this.#advance(1));
  }
  u32(): number {
    return this.#body.readUInt32LE(this.#advance(4));
  }
  u64(): bigint {
    return this.#body.readBigUInt64LE(this.#advance(8));
  }
  count(): number {
    const low = this.u32();
    return low + this.u32() * 2 ** 32;
  }
  bytes(): Uint8Array {
    const length = this.u32();
    const start = this.#advance(length);
    return this.#body.subarray(start, start + length);
  }
  text(): string {
    const length = this.u32();
    if (length === 0) return "";
    const start = this.#advance(length);
    return this.#body.toString("utf8", start, start + length);
  }
  /** All that was not read yet. */
  rest(): Uint8Array {
    return this.#body.subarray(this.#offset);
  }
  list<Item>(read: () => Item): Item[] {
    const items: Item[] = [];
    for (let left = this.u32(); left > 0; --left) items.push(read());
    return items;
  }
  /** Passes over a list of texts with a number each, and returns what reads it when it is wanted. */
  deferNumbers(): () => Record<string, number> {
    const start = this.#offset;
    for (let left = this.u32(); left > 0; --left) this.#advance(this.u32() + 8);
    return () => {
      const reader = new MessageReader(this.#body.subarray(start));
      return Object.fromEntries(reader.list((): [string, number] => [reader.text(), reader.count()]));
    };
  }
  #advance(length: number): number {
    const start = this.#offset;
    this.#offset += length;
    return start;
  }
}

/** The four bytes of a length, as characters. */
const shortLengths = Array.from({ length: 128 }, (_, length) => `${String.fromCharCode(length)}\0\0\0`);
const notAscii = "\x80";
const isAscii = /^[\0-\x7f]*$/;

/** Longer than the order of a build with a hundred inputs. */
const sharedBuffer = Buffer.allocUnsafeSlow(32 * 1024);
