/** Bytes and text: what the model keeps as bytes (it need not be UTF-8), made from text and shown as text. */
import { Buffer, isUtf8 } from "node:buffer";

/** The UTF-8 bytes of a text. */
export function bytes(value: string): Uint8Array {
  return plainBytes(Buffer.from(value, "utf8"));
}

/**
 * The same bytes as no more than an Uint8Array. A Buffer is one too, but compares, copies and prints in its own way: none
 * leaves this folder.
 */
export function plainBytes(value: Uint8Array): Uint8Array {
  return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
}

/** Bytes as text, to be shown or compared with a known word; what is not UTF-8 becomes U+FFFD. */
export function text(value: Uint8Array): string {
  return viewOf(value).toString("utf8");
}

/** Bytes as text, or undefined where they are not UTF-8: `bytes` gives back exactly what was read. */
export function findText(value: Uint8Array): string | undefined {
  return isUtf8(value) ? text(value) : undefined;
}

export function bytesEqual(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && Buffer.compare(left, right) === 0;
}

/** The order of bytes, in which ATerm and NAR sort. */
export function compareBytes(left: Uint8Array, right: Uint8Array): number {
  return Buffer.compare(left, right);
}

/** The order of two texts' UTF-8 bytes. JavaScript's own order is that of UTF-16, where surrogates come before U+E000. */
export function compareText(left: string, right: string): number {
  const length = Math.min(left.length, right.length);
  for (let index = 0; index < length; ++index) {
    const a = left.charCodeAt(index);
    const b = right.charCodeAt(index);
    if (a !== b) return rank(a) - rank(b);
  }
  return left.length - right.length;
}

/** A code unit's place in the order of UTF-8: surrogates stand for what is above U+FFFF, so they go last. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}

function viewOf(value: Uint8Array): Buffer {
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}
