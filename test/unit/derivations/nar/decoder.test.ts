import { Buffer } from "node:buffer";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeNar, NarDecoder } from "../../../../derivations/nar/decoder.ts";
import { encodeNar } from "../../../../derivations/nar/encoder.ts";
import type { NarEvent } from "../../../../derivations/nar/grammar.ts";
import { eventsOf, rawNar, tree } from "../arbitraries.ts";
import { golden } from "../golden.ts";
import { refusalOf } from "../refusal.ts";

interface GoldenNars {
  readonly nars: readonly { readonly name: string; readonly base64: string; readonly withNameNotUtf8?: string }[];
}

const goldenNars = golden<GoldenNars>("nars.json").nars.flatMap(({ base64, withNameNotUtf8 }) =>
  [base64, ...(withNameNotUtf8 === undefined ? [] : [withNameNotUtf8])].map((text) =>
    Uint8Array.from(Buffer.from(text, "base64")),
  ),
);
const magic = "nix-archive-1";
const file = ["(", "type", "regular", "contents", "", ")"] as const;
const entry = (name: string | Uint8Array, ...node: readonly (string | Uint8Array | bigint)[]) =>
  ["entry", "(", "name", name, "node", ...node, ")"] as const;
const directory = (...entries: readonly (string | Uint8Array | bigint)[]) =>
  [magic, "(", "type", "directory", ...entries, ")"] as const;
const decode = (...tokens: readonly (string | Uint8Array | bigint)[]) => decodeNar([rawNar(...tokens)]);
const codeOf = (...tokens: readonly (string | Uint8Array | bigint)[]) => refusalOf(() => decode(...tokens)).code;

/** The events without what depends on the chunks: contents in one piece, no offsets. */
function merged(events: Iterable<NarEvent>): NarEvent[] {
  const result: NarEvent[] = [];
  for (const event of events) {
    const last = result.at(-1);
    if (event.kind === "contents" && last?.kind === "contents")
      result[result.length - 1] = {
        kind: "contents",
        bytes: Uint8Array.from(Buffer.concat([last.bytes, event.bytes])),
      };
    else if (event.kind === "file") result.push({ kind: "file", executable: event.executable, size: event.size });
    else result.push(event.kind === "contents" ? { kind: "contents", bytes: Uint8Array.from(event.bytes) } : event);
  }
  return result;
}

function cut(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let start = 0, index = 0; start < bytes.length; ++index) {
    const end = start + (sizes[index % sizes.length] ?? 1);
    chunks.push(bytes.slice(start, end));
    start = end;
  }
  return chunks;
}

describe("the NAR decoder", () => {
  test("takes what nix-store --dump made, and the encoder gives it back", () => {
    for (const nar of goldenNars) expect(Buffer.concat([...encodeNar(decodeNar([nar]))])).toEqual(Buffer.from(nar));
  });

  test("gives any tree back, whatever the chunks are", () => {
    fc.assert(
      fc.property(tree, fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 5 }), (root, sizes) => {
        const events = [...eventsOf(root)];
        expect(merged(decodeNar(cut(Buffer.concat([...encodeNar(events)]), sizes)))).toEqual(merged(events));
      }),
    );
  });

  test("tells where each file's contents begin", () => {
    for (const nar of goldenNars) {
      const events = decodeNar(cut(nar, [5]));
      for (const [index, event] of events.entries()) {
        const next = events[index + 1];
        if (event.kind !== "file" || next?.kind !== "contents") continue;
        const start = event.offset ?? -1;
        expect(nar.subarray(start, start + next.bytes.length)).toEqual(next.bytes);
      }
    }
  });

  test("passes contents on as they come, and does not wait for the whole file", () => {
    const decoder = new NarDecoder();
    const size = 2n ** 40n;
    decoder.push(rawNar(magic, "(", "type", "regular", "contents", size));
    const piece = new Uint8Array(1000);
    for (let count = 0; count < 10; ++count) expect(decoder.push(piece)).toEqual([{ kind: "contents", bytes: piece }]);
  });

  test("keeps what it was given when the sender uses its buffer again", () => {
    const nar = goldenNars.at(-1) ?? new Uint8Array();
    const decoder = new NarDecoder();
    const events: NarEvent[] = [];
    const buffer = new Uint8Array(7);
    for (let start = 0; start < nar.length; start += 7) {
      const part = nar.subarray(start, start + 7);
      buffer.set(part);
      events.push(...merged(decoder.push(buffer.subarray(0, part.length))));
      buffer.fill(0x5a);
    }
    decoder.end();
    expect(merged(events)).toEqual(merged(decodeNar([nar])));
  });

  test("refuses an archive cut at any byte, at that byte", () => {
    for (const nar of goldenNars)
      for (let length = 0; length < nar.length; ++length)
        expect(refusalOf(() => decodeNar([nar.subarray(0, length)]))).toMatchObject({
          code: "NAR_TRUNCATED",
          details: { offset: length },
        });
  });

  test("refuses a byte after the end, in the same chunk or the next", () => {
    for (const nar of goldenNars) {
      const refusal = { code: "NAR_TRAILING_BYTES", details: { offset: nar.length } };
      expect(refusalOf(() => decodeNar([Buffer.concat([nar, Buffer.of(0)])]))).toMatchObject(refusal);
      expect(refusalOf(() => decodeNar([nar, Buffer.of(0)]))).toMatchObject(refusal);
      expect(decodeNar([nar, new Uint8Array(0)])).toEqual(decodeNar([nar]));
    }
  });

  test("takes two different archives for two different trees, whichever bit is flipped", () => {
    fc.assert(
      fc.property(tree, fc.nat(), fc.nat(7), (root, position, bit) => {
        const nar = Uint8Array.from(Buffer.concat([...encodeNar(eventsOf(root))]));
        const index = position % nar.length;
        nar[index] = (nar[index] ?? 0) ^ (1 << bit);
        let events: NarEvent[];
        try {
          events = decodeNar([nar]);
        } catch (error) {
          expect(error).toHaveProperty("code");
          return;
        }
        expect(Buffer.concat([...encodeNar(events)])).toEqual(Buffer.from(nar)); // what is taken has one form only
      }),
      { numRuns: 1000 },
    );
  });

  test.each<[string, readonly (string | bigint)[]]>([
    ["another magic", ["nix-archive-2", ...file]],
    ["a longer magic", ["nix-archive-1-and-more", ...file]],
    ["an unknown type", [magic, "(", "type", "fifo", ")"]],
    ["fields in another order", [magic, "(", "contents", "", "type", "regular", ")"]],
    ["no contents", [magic, "(", "type", "regular", ")"]],
    ["an executable marker with a value", [magic, "(", "type", "regular", "executable", "1", "contents", "", ")"]],
    [
      "the executable marker twice",
      [magic, "(", "type", "regular", "executable", "", "executable", "", "contents", "", ")"],
    ],
    ["the contents twice", [magic, "(", "type", "regular", "contents", "", "contents", "", ")"]],
    ["a link without a target", [magic, "(", "type", "symlink", ")"]],
    ["an entry without a name", [magic, "(", "type", "directory", "entry", "(", "node", ...file, ")", ")"]],
    ["an entry without a node", [magic, "(", "type", "directory", "entry", "(", "name", "a", ")", ")"]],
    [
      "two nodes",
      [magic, "(", "type", "directory", "entry", "(", "name", "a", "node", ...file, "node", ...file, ")", ")"],
    ],
  ])("refuses %s", (_, tokens) => {
    expect(codeOf(...tokens)).toBe("NAR_TOKEN_UNEXPECTED");
  });

  test.each([
    ["", "empty"],
    [".", "dot"],
    ["..", "dot"],
    ["a/b", "slash"],
    ["/", "slash"],
    ["a\0", "nul"],
    ["x".repeat(256), "too-long"],
  ])("refuses the name %j", (name, reason) => {
    const refusal = refusalOf(() => decode(...directory(...entry(name, ...file))));
    expect(refusal).toMatchObject({ code: "NAR_NAME_INVALID", details: { reason, offset: 128 } });
  });

  test("takes a name of 255 bytes, and names that only look odd", () => {
    for (const name of ["x".repeat(255), "...", ".a", "a\n", "é"])
      expect(decode(...directory(...entry(name, ...file)))).toHaveLength(4);
  });

  test("refuses names that are not in order", () => {
    const two = (first: string, second: string) =>
      refusalOf(() => decode(...directory(...entry(first, ...file), ...entry(second, ...file))));
    expect(two("b", "a")).toMatchObject({ code: "NAR_NAME_ORDER", details: { name: "a", reason: "unsorted" } });
    expect(two("a", "A")).toMatchObject({ code: "NAR_NAME_ORDER", details: { reason: "unsorted" } });
    expect(two("ab", "a")).toMatchObject({ code: "NAR_NAME_ORDER", details: { reason: "unsorted" } });
    expect(two("a", "a")).toMatchObject({ code: "NAR_NAME_ORDER", details: { name: "a", reason: "duplicate" } });
  });

  test("refuses a link and then a directory of its name", () => {
    const link = entry("a", "(", "type", "symlink", "target", "/etc", ")");
    const inside = entry("a", "(", "type", "directory", ...entry("passwd", ...file), ")");
    expect(codeOf(...directory(...link, ...inside))).toBe("NAR_NAME_ORDER");
  });

  test.each([
    ["", "empty"],
    ["a\0b", "nul"],
    ["x".repeat(4096), "too-long"],
  ])("refuses the link target %j", (target, reason) => {
    expect(refusalOf(() => decode(magic, "(", "type", "symlink", "target", target, ")"))).toMatchObject({
      code: "NAR_TARGET_INVALID",
      details: { reason },
    });
  });

  test("takes a link target of 4095 bytes", () => {
    expect(decode(magic, "(", "type", "symlink", "target", "x".repeat(4095), ")")).toHaveLength(1);
  });

  test("takes 64 levels and no more, also where there are 10,000 or a million", () => {
    const deep = (levels: number) => {
      const open = rawNar("(", "type", "directory", "entry", "(", "name", "a", "node");
      const close = rawNar(")", ")");
      return [rawNar(magic), ...Array(levels - 1).fill(open), rawNar(...file), ...Array(levels - 1).fill(close)];
    };
    expect(decodeNar(deep(64)).filter(({ kind }) => kind === "directory")).toHaveLength(63);
    for (const levels of [65, 10_000, 1_000_000])
      expect(refusalOf(() => decodeNar(deep(levels)))).toMatchObject({ code: "NAR_TOO_DEEP", details: { limit: 64 } });
  });

  test("refuses padding that is not zero", () => {
    const nar = rawNar(magic, "(", "type", "regular", "contents", "abc", ")");
    for (const offset of [21, 23, 33, 71, 99, 103, nar.length - 1]) {
      const bad = Uint8Array.from(nar);
      bad[offset] = 1;
      expect(refusalOf(() => decodeNar([bad])).code).toBe("NAR_PADDING_NONZERO");
    }
  });

  const lengths = [
    2n ** 32n - 8n,
    2n ** 32n,
    2n ** 32n + 8n,
    2n ** 63n - 1n,
    2n ** 63n,
    ...[8n, 7n, 6n, 5n, 4n, 3n, 2n, 1n].map((less) => 2n ** 64n - less),
  ];
  test.each(lengths)("does not believe a length of %d, wherever it stands", (length) => {
    const padding = new Uint8Array(64);
    const codeWith = (...tokens: readonly (string | bigint)[]) =>
      refusalOf(() => decodeNar([Buffer.concat([rawNar(...tokens), padding])])).code;
    expect(codeWith(length)).toBe("NAR_TOKEN_UNEXPECTED");
    expect(codeWith(magic, "(", length)).toBe("NAR_TOKEN_UNEXPECTED");
    expect(codeWith(magic, "(", "type", "directory", "entry", "(", "name", length)).toBe("NAR_NAME_INVALID");
    expect(codeWith(magic, "(", "type", "symlink", "target", length)).toBe("NAR_TARGET_INVALID");
    expect(codeWith(magic, "(", "type", "regular", "contents", length)).toBe(
      length < 2n ** 63n ? "NAR_TRUNCATED" : "NAR_LENGTH_TOO_BIG", // a file may be that long; this one is not
    );
  });
});
