/** The tokens of a .drv file: fixed text, strings and lists. Every refusal names its byte. */
import { Buffer } from "node:buffer";
import { DerivationError } from "./errors.ts";

export class AtermReader {
  readonly #name: string;
  readonly #bytes: Buffer;
  #offset = 0;

  /** `name` is for error messages only. The strings that are read are copies: `bytes` can be let go. */
  constructor(name: string, bytes: Uint8Array) {
    this.#name = name;
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get offset(): number {
    return this.#offset;
  }

  startsWith(token: string): boolean {
    const bytes = this.#bytes;
    for (let index = 0; index < token.length; ++index)
      if (bytes[this.#offset + index] !== token.charCodeAt(index)) return false;
    return true;
  }

  /** Takes this text. Throws ATERM_INVALID if something else is there. */
  expect(token: string): void {
    if (!this.startsWith(token)) throw this.refuse(this.#offset, token);
    this.#offset += token.length;
  }

  expectEnd(): void {
    if (this.#offset !== this.#bytes.length) throw this.refuse(this.#offset, "the end");
  }

  readList<Item>(read: () => Item): Item[] {
    this.expect("[");
    const items: Item[] = [];
    if (this.startsWith("]")) {
      this.#offset += 1;
      return items;
    }
    for (;;) {
      items.push(read());
      if (this.startsWith("]")) break;
      if (!this.startsWith(",")) throw this.refuse(this.#offset, "a comma or ]");
      this.#offset += 1;
    }
    this.#offset += 1;
    return items;
  }

  /** The next string, if it is ASCII without escapes; otherwise nothing is taken. */
  findPlainAscii(): string | undefined {
    const bytes = this.#bytes;
    this.#assertQuote();
    const start = this.#offset + 1;
    for (let end = start; end < bytes.length; ++end) {
      const byte = bytes[end] as number;
      if (byte === quote) {
        this.#offset = end + 1;
        return bytes.toString("latin1", start, end);
      }
      if (byte === backslash || byte >= 0x80) return undefined;
    }
    throw this.refuse(bytes.length, "the end of a string");
  }

  readString(): Uint8Array {
    const bytes = this.#bytes;
    this.#assertQuote();
    const start = this.#offset + 1;
    let escapeCount = 0;
    let end = start;
    for (; bytes[end] !== quote; ++end) {
      if (bytes[end] === backslash) {
        ++escapeCount;
        ++end;
      }
      if (end >= bytes.length) throw this.refuse(bytes.length, "the end of a string");
    }
    this.#offset = end + 1;

    const content = new Uint8Array(end - start - escapeCount);
    if (escapeCount === 0) content.set(bytes.subarray(start, end));
    else unescape(bytes, start, content);
    return content;
  }

  refuse(offset: number, expected: string) {
    return new DerivationError("ATERM_INVALID", { name: this.#name, offset, expected });
  }

  #assertQuote(): void {
    if (this.#bytes[this.#offset] !== quote) throw this.refuse(this.#offset, "a string");
  }
}

const quote = 0x22;
const backslash = 0x5c;

function unescape(bytes: Uint8Array, start: number, content: Uint8Array): void {
  let from = start;
  for (let to = 0; to < content.length; ++to) {
    let byte = bytes[from++] as number;
    if (byte === backslash) {
      byte = bytes[from++] as number;
      if (byte === 0x6e) byte = 0x0a;
      else if (byte === 0x72) byte = 0x0d;
      else if (byte === 0x74) byte = 0x09;
    }
    content[to] = byte;
  }
}
