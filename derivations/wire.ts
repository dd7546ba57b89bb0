/**
 * The framing that NAR and the worker protocols share: numbers are unsigned 64-bit, little endian; a string is its length,
 * its bytes, and zero bytes up to a multiple of 8.
 */
import { Buffer } from "node:buffer";
import { plainBytes } from "./bytes.ts";

/** The number of zero bytes after so many bytes: 0 to 7. */
export function paddingOf(byteCount: number | bigint): number {
  return typeof byteCount === "bigint" ? Number(-byteCount & 7n) : (8 - (byteCount % 8)) % 8;
}

/** `value` is 0 to 2^64 - 1. */
export function encodeU64(value: number | bigint): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return plainBytes(bytes);
}

export function decodeU64(bytes: Uint8Array, offset = 0): bigint {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getBigUint64(offset, true);
}

/** A string with its length and padding; text is written as UTF-8. */
export function encodeString(value: Uint8Array | string): Uint8Array {
  const content = typeof value === "string" ? Buffer.from(value, "utf8") : value;
  const bytes = Buffer.alloc(8 + content.length + paddingOf(content.length));
  bytes.writeBigUInt64LE(BigInt(content.length));
  bytes.set(content, 8);
  return plainBytes(bytes);
}

/** True if all bytes from `start` to `end` are zero, as padding must be. */
export function isZero(bytes: Uint8Array, start: number, end: number): boolean {
  for (let index = start; index < end; ++index) if (bytes[index] !== 0) return false;
  return true;
}
