/**
 * Nix base 32: the bytes are one little-endian number, whose most significant five bits are written first.
 * Source: Nix manual, "Nix32 Encoding"; the alphabet leaves out e, o, t and u.
 */
import { DerivationError } from "./errors.ts";

export const base32Alphabet = "0123456789abcdfghijklmnpqrsvwxyz";

const digitOf = new Int8Array(128).fill(-1);
for (let value = 0; value < 32; ++value) digitOf[base32Alphabet.charCodeAt(value)] = value;

/** The number of digits that stand for so many bytes. */
export function base32Length(byteCount: number): number {
  return Math.ceil((byteCount * 8) / 5);
}

export function encodeBase32(bytes: Uint8Array): string {
  let digits = "";
  for (let place = base32Length(bytes.length) - 1; place >= 0; --place) {
    const bit = place * 5;
    const index = bit >> 3;
    const shift = bit & 7;
    const low = bytes[index] ?? 0;
    const high = bytes[index + 1] ?? 0;
    digits += base32Alphabet[((low >> shift) | (high << (8 - shift))) & 31];
  }
  return digits;
}

/** Throws BASE32_INVALID for a foreign digit, a number of digits that no bytes have, and surplus bits that are not zero. */
export function decodeBase32(text: string): Uint8Array {
  const byteCount = Math.floor((text.length * 5) / 8);
  if (base32Length(byteCount) !== text.length)
    throw new DerivationError("BASE32_INVALID", { text, reason: `no bytes have ${text.length} digits` });

  const bytes = new Uint8Array(byteCount);
  for (let index = 0; index < text.length; ++index) {
    const digit = digitOf[text.charCodeAt(index)] ?? -1;
    if (digit < 0)
      throw new DerivationError("BASE32_INVALID", { text, reason: `digit ${index + 1} is not one of its digits` });

    const bit = (text.length - 1 - index) * 5;
    const byte = bit >> 3;
    const shifted = digit << (bit & 7);
    bytes[byte] = (bytes[byte] ?? 0) | (shifted & 0xff);
    const carry = shifted >> 8;
    if (byte + 1 < byteCount) bytes[byte + 1] = (bytes[byte + 1] ?? 0) | carry;
    else if (carry !== 0)
      throw new DerivationError("BASE32_INVALID", { text, reason: "it has bits beyond its last byte" });
  }
  return bytes;
}
