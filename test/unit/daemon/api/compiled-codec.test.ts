import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { codecOf, noMatch } from "../../../../daemon/api/compiled-codec.ts";
import { bodyOf, decodeBody, encodeFrame } from "../../../../daemon/api/frames.ts";
import { methods } from "../../../../daemon/api/msgpack-messages.ts";
import type { AnySchema } from "../../../../daemon/api/schema.ts";
import { buildEvent } from "../../../../daemon/api/wire-values.ts";
import { zodOf } from "../../../../daemon/api/zod-of-schema.ts";
import { arbitraryOf } from "../../../support/arbitrary-of-schema.ts";

const schemas: readonly (readonly [string, AnySchema])[] = [
  ...Object.entries(methods).flatMap(([name, { params, result }]) => [
    [`${name}, params`, params as AnySchema] as const,
    [`${name}, result`, result as AnySchema] as const,
  ]),
  ["events", buildEvent as AnySchema],
];

describe.each(schemas)("%s", (_, schema) => {
  test("what is encoded and sent in a frame is decoded to the same value", () => {
    fc.assert(
      fc.property(arbitraryOf(schema), (value) => {
        const sent = decodeBody(bodyOf(encodeFrame({ value: codecOf(schema).encode(value) }))) as { value: unknown };
        expect(plain(codecOf(schema).decode(sent.value))).toEqual(plain(value));
      }),
      { numRuns: 30 },
    );
  });

  test("the compiled codec and zod agree", () => {
    fc.assert(
      fc.property(arbitraryOf(schema), (value) => {
        const sent = codecOf(schema).encode(value);
        expect(plain(codecOf(schema).decode(sent))).toEqual(plain(zodOf(schema).parse(sent)));
      }),
      { numRuns: 30 },
    );
  });

  test("both refuse the same", () => {
    fc.assert(
      fc.property(arbitraryOf(schema), fc.infiniteStream(fc.nat()), fc.anything(), (value, choices, wrong) => {
        const spoilt = spoil(codecOf(schema).encode(value), choices, wrong);
        expect(outcome(() => codecOf(schema).decode(spoilt))).toEqual(
          outcome(() => {
            const result = zodOf(schema).safeParse(spoilt);
            return result.success ? result.data : noMatch;
          }),
        );
      }),
      { numRuns: 60 },
    );
  });
});

/** Puts something else at a random place of what would be sent. */
function spoil(sent: unknown, choices: Iterator<number>, wrong: unknown): unknown {
  const choice = () => choices.next().value as number;
  if (Array.isArray(sent) && sent.length > 0 && choice() % 4 > 0) {
    const at = choice() % sent.length;
    return sent.map((entry, index) => (index === at ? spoil(entry, choices, wrong) : entry));
  }
  if (
    typeof sent === "object" &&
    sent !== null &&
    !Array.isArray(sent) &&
    !(sent instanceof Uint8Array) &&
    choice() % 8 > 0
  ) {
    const keys = Object.keys(sent);
    const key = keys[choice() % Math.max(1, keys.length)];
    if (key !== undefined) return { ...sent, [key]: spoil((sent as Record<string, unknown>)[key], choices, wrong) };
  }
  return wrong;
}

/** The value, or that it is refused: where two things are wrong, it may be for one or the other. */
function outcome(decode: () => unknown): unknown {
  try {
    const value = decode();
    return value === noMatch ? "refused" : { value: plain(value) };
  } catch (error) {
    expect(error).toHaveProperty("code");
    return "refused";
  }
}

/** Views of buffers and objects without prototype as what they hold. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return `bytes ${Buffer.from(value).toString("hex")}`;
  if (value instanceof Set) return [...value];
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === "object" && value !== null)
    return Object.entries(value)
      .filter(([, entry]) => entry !== undefined)
      .map(([key, entry]) => [key, plain(entry)] as const)
      .sort();
  return value;
}
