import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeBase32, encodeBase32 } from "../../../derivations/base32.ts";
import { golden } from "./golden.ts";
import { refusalOf } from "./refusal.ts";

describe("base 32", () => {
  test("has the digits that Guix gives for 0 to 70 bytes", () => {
    const { digits } = golden<{ digits: string[] }>("base32.json");
    digits.forEach((expected, length) => {
      const bytes = Uint8Array.from({ length }, (_, index) => (7 + 37 * index + 11 * length) % 256);
      expect(encodeBase32(bytes)).toBe(expected);
      expect(decodeBase32(expected)).toEqual(bytes);
    });
  });

  test("gives back any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        expect(decodeBase32(encodeBase32(bytes))).toEqual(bytes);
      }),
    );
  });

  test("is taken only in the form in which it is written", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[0-9a-z]{0,60}$/), (text) => {
        let bytes: Uint8Array;
        try {
          bytes = decodeBase32(text);
        } catch {
          return;
        }
        expect(encodeBase32(bytes)).toBe(text);
      }),
    );
  });

  test.each([
    ["a foreign letter", "0e"],
    ["an upper-case letter", "0A"],
    ["a letter past ASCII", "0é"],
    ["a number of digits that no bytes have", "0"],
    ["a bit beyond the last byte", "80"],
    ["many bits beyond the last byte", "zz"],
  ])("refuses %s", (_, text) => {
    expect(refusalOf(() => decodeBase32(text))).toMatchObject({ code: "BASE32_INVALID", details: { text } });
  });
});
