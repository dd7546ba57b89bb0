/** Digests and their notations: base 16, Nix base 32, base 64, and SRI (`sha256-BASE64`). */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { base32Length, decodeBase32, encodeBase32 } from "./base32.ts";
import { bytesEqual, plainBytes } from "./bytes.ts";
import { DerivationError } from "./errors.ts";

export type HashAlgorithm = "md5" | "sha1" | "sha256" | "sha512";

export interface Hash {
  readonly algorithm: HashAlgorithm;
  readonly bytes: Uint8Array;
}

export type Sha256 = Hash & { readonly algorithm: "sha256" };

export type HashFormat = "base16" | "base32" | "base64" | "sri";

/** The size of each algorithm's digest in bytes. */
export const hashSizes: Readonly<Record<HashAlgorithm, number>> = { md5: 16, sha1: 20, sha256: 32, sha512: 64 };

export function isHashAlgorithm(text: string): text is HashAlgorithm {
  return Object.hasOwn(hashSizes, text);
}

/** The SHA-256 of bytes, or of a text's UTF-8 bytes. */
export function sha256(data: Uint8Array | string): Sha256 {
  return { algorithm: "sha256", bytes: plainBytes(createHash("sha256").update(data).digest()) };
}

export function hashBytes(algorithm: HashAlgorithm, data: Uint8Array | string): Hash {
  return { algorithm, bytes: plainBytes(createHash(algorithm).update(data).digest()) };
}

/** A digest that was computed elsewhere. Throws HASH_INVALID if it has not the algorithm's size. */
export function makeSha256(bytes: Uint8Array): Sha256 {
  if (bytes.length !== hashSizes.sha256)
    throw new DerivationError("HASH_INVALID", {
      text: Buffer.from(bytes).toString("hex"),
      reason: `a sha256 digest has 32 bytes, not ${bytes.length}`,
    });
  return { algorithm: "sha256", bytes };
}

/** `sha256:DIGITS`; for "sri" `sha256-BASE64`. */
export function printHash(hash: Hash, format: HashFormat): string {
  return format === "sri" ? printDigest(hash, "sri") : `${hash.algorithm}:${printDigest(hash, format)}`;
}

/** The digits alone; SRI has no form without its algorithm. */
export function printDigest(hash: Hash, format: HashFormat): string {
  switch (format) {
    case "base16":
      return Buffer.from(hash.bytes).toString("hex");
    case "base32":
      return encodeBase32(hash.bytes);
    case "base64":
      return Buffer.from(hash.bytes).toString("base64");
    case "sri":
      return `${hash.algorithm}-${Buffer.from(hash.bytes).toString("base64")}`;
    default:
      return format satisfies never;
  }
}

/**
 * Reads a hash in any notation, told apart by its length. Without `expected` the text must name its algorithm.
 * Throws HASH_INVALID, BASE32_INVALID.
 */
export function parseHash(text: string, expected?: HashAlgorithm): Hash {
  const colon = text.indexOf(":");
  const dash = text.indexOf("-"); // no notation's digits have a dash
  const end = colon >= 0 ? colon : dash;
  const prefix = end >= 0 ? text.slice(0, end) : undefined;
  const algorithm = prefix ?? expected;

  if (algorithm === undefined)
    throw new DerivationError("HASH_INVALID", { text, reason: "it does not name its algorithm" });
  if (!isHashAlgorithm(algorithm))
    throw new DerivationError("HASH_INVALID", { text, reason: `the algorithm ${algorithm} is not known` });
  if (expected !== undefined && algorithm !== expected)
    throw new DerivationError("HASH_INVALID", { text, reason: `it is ${algorithm}, not ${expected}` });

  const digits = text.slice(end + 1);
  return { algorithm, bytes: parseDigits(text, digits, algorithm, colon < 0 && dash >= 0) };
}

/** `parseHash` for where only SHA-256 will do. */
export function parseSha256(text: string): Sha256 {
  return parseHash(text, "sha256") as Sha256;
}

export function hashesEqual(left: Hash, right: Hash): boolean {
  return left.algorithm === right.algorithm && bytesEqual(left.bytes, right.bytes);
}

/** Folds bytes to fewer: byte i of the result is the exclusive or of all bytes i, i + size, … of the input. */
export function foldXor(bytes: Uint8Array, size: number): Uint8Array {
  const folded = new Uint8Array(size);
  for (let index = 0; index < bytes.length; ++index)
    folded[index % size] = (folded[index % size] ?? 0) ^ (bytes[index] ?? 0);
  return folded;
}

function parseDigits(text: string, digits: string, algorithm: HashAlgorithm, mustBeBase64: boolean): Uint8Array {
  const size = hashSizes[algorithm];
  if (!mustBeBase64 && digits.length === size * 2) {
    if (!/^[0-9a-fA-F]*$/.test(digits))
      throw new DerivationError("HASH_INVALID", { text, reason: "not all digits are of base 16" });
    return plainBytes(Buffer.from(digits, "hex"));
  }
  if (!mustBeBase64 && digits.length === base32Length(size)) return decodeBase32(digits);
  if (digits.length === Math.ceil(size / 3) * 4) {
    const bytes = Buffer.from(digits, "base64");
    if (bytes.length === size && bytes.toString("base64") === digits) return plainBytes(bytes); // Buffer skips what it does not know
    throw new DerivationError("HASH_INVALID", { text, reason: "not all digits are of base 64" });
  }
  throw new DerivationError("HASH_INVALID", {
    text,
    reason: `a ${algorithm} hash does not have ${digits.length} digits`,
  });
}
