/**
 * Bytes of every kind against the frame reader: a short run of the fixed seed here, a long one with
 * `FUZZ_RUNS=1000000 FUZZ_SEED=$RANDOM npx vitest run test/fuzz`.
 */
import fc from "fast-check";
import { Packr } from "msgpackr";
import { expect, test } from "vitest";
import { decodeBody, encodeFrame, FrameReader } from "../../daemon/api/frames.ts";
import { messages, parseMessage } from "../../daemon/api/messages.ts";
import { CloisterError } from "../../derivations/error.ts";

const runs = { numRuns: Number(process.env["FUZZ_RUNS"] ?? 3000), seed: Number(process.env["FUZZ_SEED"] ?? 1) };
const reference = new Packr({ useRecords: false });
const codes = ["PROTOCOL_FRAME_TOO_LONG", "PROTOCOL_FRAME_INVALID", "PROTOCOL_MESSAGE_INVALID"];

/** Reads a stream as a session does. Anything else than messages and errors of the protocol is a mistake. */
function read(stream: Buffer): number {
  let count = 0;
  try {
    new FrameReader().push(stream, (body) => {
      parseMessage(decodeBody(body));
      count += 1;
    });
  } catch (error) {
    if (!(error instanceof CloisterError)) throw error;
    expect(codes).toContain(error.code);
  }
  return count;
}

const frames = Object.values(messages).map(({ example }) => encodeFrame(example));

test("random bytes in a frame", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), (bytes) => {
      const head = Buffer.alloc(4);
      head.writeUInt32BE(bytes.length);
      read(Buffer.concat([head, bytes]));
    }),
    runs,
  );
});

test("messages with some bytes changed", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...frames),
      fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 4 }),
      (frame, changes) => {
        const spoilt = Buffer.from(frame);
        for (const [at, byte] of changes) spoilt[4 + (at % (spoilt.length - 4))] = byte;
        read(spoilt);
      },
    ),
    runs,
  );
});

test("random types, lengths and depths: what is decoded is what msgpackr makes of it", () => {
  const tokens = [
    0x80, 0x81, 0x90, 0x91, 0x9f, 0xa0, 0xa1, 0xbf, 0xc0, 0xc1, 0xc4, 0xc6, 0xc7, 0xca, 0xcf, 0xd4, 0xd9, 0xdb,
  ];
  const token = fc.constantFrom(...tokens, 0xdc, 0xdd, 0xde, 0xdf, 0xff, 0x61);
  fc.assert(
    fc.property(fc.array(fc.oneof(token, fc.nat({ max: 8 })), { minLength: 1, maxLength: 40 }), (bytes) => {
      let value: unknown;
      try {
        value = decodeBody(Buffer.from(bytes));
      } catch (error) {
        expect(error).toMatchObject({ code: "PROTOCOL_FRAME_INVALID" });
        return;
      }
      expect(value).toEqual(reference.unpack(Buffer.from(bytes)));
    }),
    runs,
  );
});

test("canary: an extension that we must refuse is one that msgpackr takes", () => {
  const extension = Buffer.from([0xd6, 0xff, 0, 0, 0, 0]); // a timestamp
  expect(reference.unpack(extension)).toBeInstanceOf(Date);
  expect(() => decodeBody(extension)).toThrow(expect.objectContaining({ code: "PROTOCOL_FRAME_INVALID" }));
});
