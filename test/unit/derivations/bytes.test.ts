import { Buffer } from "node:buffer";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bytes, bytesEqual, compareBytes, compareText, findText, text } from "../../../derivations/bytes.ts";

const anyText = fc.string({ unit: "binary" });

describe("bytes and text", () => {
  test("are made of each other", () => {
    fc.assert(
      fc.property(anyText, (value) => {
        expect(text(bytes(value))).toBe(value);
        expect(findText(bytes(value))).toBe(value);
      }),
    );
  });

  test("that are not UTF-8 are shown with a replacement, and not found as text", () => {
    expect(text(Uint8Array.of(0x61, 0xff))).toBe("a\ufffd");
    expect(findText(Uint8Array.of(0x61, 0xff))).toBeUndefined();
    expect(findText(Uint8Array.of(0xef, 0xbb, 0xbf))).toBe("\ufeff");
  });

  test("text sorts as its bytes do, past U+FFFF too", () => {
    fc.assert(
      fc.property(anyText, anyText, (left, right) => {
        expect(Math.sign(compareText(left, right))).toBe(Math.sign(compareBytes(bytes(left), bytes(right))));
      }),
    );
    expect(compareText("\uff5e", "\u{1d11e}")).toBeLessThan(0);
  });

  test("are compared by what they hold, whatever holds them", () => {
    expect(bytesEqual(Buffer.from("ab"), Uint8Array.of(0x61, 0x62))).toBe(true);
    expect(bytesEqual(Uint8Array.of(1), Uint8Array.of(1, 0))).toBe(false);
  });
});
