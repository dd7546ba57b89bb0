import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  foldXor,
  type HashAlgorithm,
  type HashFormat,
  hashBytes,
  hashesEqual,
  makeSha256,
  parseHash,
  parseSha256,
  printDigest,
  printHash,
  sha256,
} from "../../../derivations/hash.ts";
import { anyHash } from "./arbitraries.ts";
import { golden } from "./golden.ts";
import { refusalOf } from "./refusal.ts";

type GoldenHash = Readonly<Record<HashFormat | "text", string>> & { readonly algorithm: HashAlgorithm };
const formats = ["base16", "base32", "base64", "sri"] as const;

describe("hashes", () => {
  test("are those of nix-hash, in every notation of nix hash convert", () => {
    for (const expected of golden<{ hashes: GoldenHash[] }>("hashes.json").hashes) {
      const hash = hashBytes(expected.algorithm, expected.text);
      for (const format of formats) {
        expect(printDigest(hash, format)).toBe(expected[format]);
        expect(parseHash(expected[format], expected.algorithm)).toEqual(hash);
      }
    }
  });

  test("are read back from every notation, with or without the algorithm", () => {
    fc.assert(
      fc.property(anyHash, fc.constantFrom(...formats), (hash, format) => {
        expect(hashesEqual(parseHash(printHash(hash, format)), hash)).toBe(true);
        expect(hashesEqual(parseHash(printDigest(hash, format), hash.algorithm), hash)).toBe(true);
      }),
    );
  });

  test("differ when the algorithm or a bit does", () => {
    const hash = sha256("a");
    const flipped = Uint8Array.from(hash.bytes);
    flipped[31] = (flipped[31] ?? 0) ^ 1;
    expect(hashesEqual(hash, sha256(new TextEncoder().encode("a")))).toBe(true);
    expect(hashesEqual(hash, makeSha256(flipped))).toBe(false);
    expect(hashesEqual({ algorithm: "md5", bytes: hash.bytes }, hash)).toBe(false);
  });

  const digits = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  test.each([
    ["without an algorithm", digits],
    ["with an unknown algorithm", `sha3:${digits}`],
    ["with the name of an object's property as algorithm", `constructor:${digits}`],
    ["with a digit too few", `sha256:${digits.slice(1)}`],
    ["of another algorithm's length", `sha1:${digits}`],
    ["with a letter that is no digit", `sha256:g${digits.slice(1)}`],
    ["in base 64 with surplus bits", "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV="],
    ["in base 64 of the other alphabet", "sha256-47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU="],
    ["in SRI with digits of base 16", `sha256-${digits}`],
    ["with space around", ` sha256:${digits}`],
  ])("are refused %s", (_, text) => {
    expect(refusalOf(() => parseHash(text))).toMatchObject({ code: "HASH_INVALID", details: { text } });
  });

  test("are refused when another algorithm was expected", () => {
    expect(refusalOf(() => parseSha256("md5:d41d8cd98f00b204e9800998ecf8427e")).code).toBe("HASH_INVALID");
    expect(refusalOf(() => makeSha256(new Uint8Array(31))).code).toBe("HASH_INVALID");
  });

  test("fold to fewer bytes, each the exclusive or of its column", () => {
    expect(foldXor(Uint8Array.of(1, 2, 3, 4, 5, 6, 7), 3)).toEqual(Uint8Array.of(1 ^ 4 ^ 7, 2 ^ 5, 3 ^ 6));
  });
});
