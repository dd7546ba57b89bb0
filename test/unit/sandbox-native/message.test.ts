/** Bodies of packets: what is written is read, whatever it is. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { MessageReader, MessageWriter } from "../../../sandbox-native/message.ts";

test("lists of names come out as they went in: short, long, in any script, and as one list of texts would", () => {
  const name = fc.oneof(
    fc.string({ unit: "grapheme" }),
    fc.string({ minLength: 120, maxLength: 300 }),
    fc.constant(""),
  );
  fc.assert(
    fc.property(fc.array(name, { maxLength: 300 }), (names) => {
      const written = Buffer.from(new MessageWriter().u8(7).names(names).u8(8).finish());
      const reader = new MessageReader(written);
      expect(reader.u8()).toBe(7);
      expect(reader.list(() => reader.text())).toEqual(names.map((each) => each.toWellFormed()));
      expect(reader.u8()).toBe(8);
      expect(written).toEqual(Buffer.from(new MessageWriter().u8(7).texts(names).u8(8).finish()));
    }),
    { numRuns: 50 },
  );
});

test("numbers of 64 bits are the same as numbers and as big integers", () => {
  for (const value of [0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1]) {
    const reader = new MessageReader(Buffer.from(new MessageWriter().u64(value).u64(BigInt(value)).finish()));
    expect(reader.u64()).toBe(BigInt(value));
    expect(reader.count()).toBe(value);
  }
});

test("a body longer than the buffer that writers share is written whole", () => {
  const long = Buffer.alloc(100_000, 5);
  const reader = new MessageReader(Buffer.from(new MessageWriter().bytes("a").bytes(long).bytes("b").finish()));
  expect([reader.text(), Buffer.from(reader.bytes()), reader.text()]).toEqual(["a", long, "b"]);
});
