import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  bodyOf,
  decodeBody,
  encodeChunkHead,
  encodeFrame,
  FrameReader,
  frameLimitBytes,
} from "../../../../daemon/api/frames.ts";
import { nestingLimit } from "../../../../daemon/api/msgpack-decode.ts";

const plainValue = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    fc.string(),
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    fc.array(tie("value"), { maxLength: 20 }),
    fc.dictionary(
      fc.string().filter((key) => key !== "__proto__"),
      tie("value"),
      { maxKeys: 20, noNullPrototype: true },
    ),
  ),
})).value;

describe("frames", () => {
  test("what was encoded is decoded again, however the stream is cut", () => {
    fc.assert(
      fc.property(
        fc.array(plainValue, { maxLength: 5 }),
        fc.infiniteStream(fc.integer({ min: 1, max: 40 })),
        (values, sizes) => {
          const stream = Buffer.concat(values.map((value) => encodeFrame({ value })));
          const reader = new FrameReader();
          const received: unknown[] = [];
          for (let at = 0; at < stream.length; ) {
            const size = sizes.next().value as number;
            reader.push(stream.subarray(at, at + size), (body) => received.push(decodeBody(body)));
            at += size;
          }
          expect(received).toEqual(values.map((value) => ({ value })));
          expect(reader.unfinished).toBe(false);
        },
      ),
    );
  });

  test("a chunk's head and its bytes are the frame of a chunk", () => {
    const bytes = Buffer.from("some bytes");
    const frame = Buffer.concat([encodeChunkHead(70_000, bytes.length), bytes]);
    expect(frame.readUInt32BE()).toBe(frame.length - 4);
    expect(decodeBody(bodyOf(frame))).toEqual({ kind: "chunk", id: 70_000, bytes });
  });

  test("a frame of the limit's length is taken, one byte more is PROTOCOL_FRAME_TOO_LONG before it is there", () => {
    const head = Buffer.alloc(4);
    head.writeUInt32BE(frameLimitBytes);
    const reader = new FrameReader();
    let length = 0;
    reader.push(Buffer.concat([head, Buffer.alloc(frameLimitBytes)]), (body) => {
      length = body.length;
    });
    expect(length).toBe(frameLimitBytes);

    head.writeUInt32BE(frameLimitBytes + 1);
    expect(() => new FrameReader().push(head, () => {})).toThrow(
      expect.objectContaining({ code: "PROTOCOL_FRAME_TOO_LONG" }),
    );
  });

  test("half a frame is not a frame", () => {
    const frame = encodeFrame({ kind: "end", id: 1 });
    const reader = new FrameReader();
    reader.push(frame.subarray(0, frame.length - 1), () => expect.unreachable());
    expect(reader.unfinished).toBe(true);
  });
});

describe("bodies that are refused", () => {
  const nested = (levels: number) => Buffer.from([...Array<number>(levels).fill(0x91), 0xc0]);

  test.each<[string, readonly number[] | Buffer]>([
    ["an extension type", [0xd4, 0x01, 0x00]],
    ["a record of msgpackr", [0xd4, 0x72, 0x40]],
    ["a timestamp", [0xd6, 0xff, 0, 0, 0, 0]],
    ["an unused type", [0xc1]],
    ["nothing", []],
    ["a text that is cut off", [0xa5, 0x61]],
    ["a length that is cut off", [0xdb, 0x00]],
    ["bytes longer than the frame", [0xc6, 0xff, 0xff, 0xff, 0xff]],
    ["a list longer than the frame", [0xdd, 0xff, 0xff, 0xff, 0xff, 0xc0]],
    ["a map longer than the frame", [0xdf, 0x7f, 0xff, 0xff, 0xff, 0xa1, 0x61, 0xc0]],
    ["a map with a number for a key", [0x81, 0x01, 0xc0]],
    ["a map with a list for a key", [0x81, 0x90, 0xc0]],
    ["a second value", [0xc0, 0xc0]],
    ["too many levels", nested(nestingLimit)],
  ])("%s", (_, body) => {
    expect(() => decodeBody(Buffer.from(body))).toThrow(expect.objectContaining({ code: "PROTOCOL_FRAME_INVALID" }));
  });

  test("as many levels as are allowed", () => {
    let value = decodeBody(nested(nestingLimit - 1));
    for (let level = 0; level < nestingLimit - 1; level += 1) value = (value as unknown[])[0];
    expect(value).toBe(null);
  });

  test("a key like __proto__", () => {
    const frame = encodeFrame(JSON.parse('{"__proto__": {"admin": true}}'));
    expect(() => decodeBody(bodyOf(frame))).toThrow(expect.objectContaining({ code: "PROTOCOL_FRAME_INVALID" }));
  });
});
