import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeU64, encodeString, encodeU64, isZero, paddingOf } from "../../../derivations/wire.ts";

describe("the wire's framing", () => {
  test("keeps every 64-bit number", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (value) => {
        expect(decodeU64(encodeU64(value))).toBe(value);
      }),
    );
    expect(encodeU64(258)).toEqual(Uint8Array.of(2, 1, 0, 0, 0, 0, 0, 0));
  });

  test("pads to a multiple of 8, the same for both kinds of number", () => {
    fc.assert(
      fc.property(fc.nat(), (length) => {
        expect((length + paddingOf(length)) % 8).toBe(0);
        expect(paddingOf(BigInt(length))).toBe(paddingOf(length));
        expect(paddingOf(length)).toBeLessThan(8);
      }),
    );
  });

  test("writes a string as length, bytes and zeros", () => {
    expect(encodeString("é")).toEqual(Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0, 0xc3, 0xa9, 0, 0, 0, 0, 0, 0));
    expect(encodeString(new Uint8Array(8)).length).toBe(16);
    expect(isZero(Uint8Array.of(1, 0, 0), 1, 3)).toBe(true);
    expect(isZero(Uint8Array.of(1, 0, 2), 1, 3)).toBe(false);
  });
});
