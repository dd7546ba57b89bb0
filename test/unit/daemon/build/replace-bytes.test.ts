import { Buffer } from "node:buffer";
import fc from "fast-check";
import { expect, test } from "vitest";
import { makeReplacements, replaceBytes, replaceText } from "../../../../daemon/build/replace-bytes.ts";

test("every occurrence is replaced, at both ends and side by side too", () => {
  const replacements = makeReplacements([["/abc", "/x"]]);
  expect(Buffer.from(replaceBytes(Buffer.from("/abc/abc-/abc"), replacements)).toString()).toBe("/x/x-/x");
  expect(replaceText("/abc/abc-/abc", replacements)).toBe("/x/x-/x");
});

test("a value without any is handed back itself, whatever bytes it has", () => {
  const value = Uint8Array.of(0xff, 0, 0x2f);
  expect(replaceBytes(value, makeReplacements([["/abc", "/x"]]))).toBe(value);
});

test("bytes around a placeholder stay as they are", () => {
  const needle = "/0123456789";
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 20 })), (pieces) => {
      fc.pre(pieces.every((piece) => !Buffer.from(piece).includes("/0")));
      const join = (separator: string) =>
        Buffer.concat(pieces.flatMap((piece, index) => (index === 0 ? [piece] : [Buffer.from(separator), piece])));
      const replaced = replaceBytes(join(needle), makeReplacements([[needle, "/y"]]));
      expect(Buffer.from(replaced).equals(join("/y"))).toBe(true);
    }),
  );
});
