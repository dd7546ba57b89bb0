import { describe, expect, test } from "vitest";
import { type DifferenceFacts, explainDifference } from "../../../../daemon/build/explain-difference.ts";

const startMs = 1_700_000_000_000;
const facts: DifferenceFacts = {
  timesMs: [[startMs, startMs + 5000]],
  directories: ["/build", "/build-elsewhere"],
  ids: [1000, 100, 1234, 567],
  hostNames: ["localhost", "elsewhere"],
};
const explain = (first: string | Uint8Array, second: string | Uint8Array) =>
  explainDifference(Buffer.from(first), Buffer.from(second), facts);

describe("what two contents differ by is named when it is", () => {
  test("a time, in text and in bytes of either order", () => {
    expect(explain("made 1700000001 ok", "made 1700000004 ok")).toBe(
      'from byte 14 on, "1700000001" and "1700000004": a time of the build',
    );
    expect(explain("v1700000001123", "v1700000002456"), "in milliseconds").toMatch(/a time of the build$/);
    for (const write of ["writeUInt32LE", "writeUInt32BE"] as const) {
      const [first, second] = [1_700_000_001, 1_700_000_003].map((seconds) => {
        const bytes = Buffer.alloc(12, 0xff);
        bytes[write](seconds, 4);
        return bytes;
      }) as [Buffer, Buffer];
      expect(explain(first, second), write).toMatch(/a time of the build$/);
    }
  });
  test("numbers of other times, and other numbers, are none", () => {
    expect(explain("made 1600000001", "made 1600000004")).toBe('from byte 14 on, "1600000001" and "1600000004"');
    expect(explain("17", "18")).toBe('from byte 1 on, "17" and "18"');
  });
  test("a build directory, an id, a host name, a date", () => {
    expect(explain("in /build/x.c", "in /build-elsewhere/x.c")).toMatch(/: the build directory$/);
    expect(explain("uid=1000(nixbld)", "uid=1234(nixbld)")).toMatch(/: a user or group id$/);
    expect(explain("on localhost", "on elsewhere")).toMatch(/: the host name$/);
    expect(explain("2023-11-14 10:00", "2023-11-15 10:00")).toMatch(/: a date$/);
  });
  test("one that ends earlier, and bytes that are no text", () => {
    expect(explain("ab", "abc")).toBe('from byte 2 on, "ab" and "abc"');
    expect(explain(Buffer.of(1, 2), Buffer.of(1, 3))).toBe("from byte 1 on");
    expect(explain("same", "same")).toBe("");
  });
  test("what a builder wrote reaches no terminal unseen: only printed characters are quoted", () => {
    expect(explain("a\u001b[31mb", "a\u001b[32mb")).toBe('from byte 4 on, "[31mb" and "[32mb"');
    expect(explain(`${"x".repeat(500)}1`, `${"x".repeat(500)}2`).length).toBeLessThan(200);
  });
});
