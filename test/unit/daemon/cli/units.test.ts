import { describe, expect, test } from "vitest";
import { count, parseCount, parseSize, printBytes, printDuration } from "../../../../daemon/cli/units.ts";

describe("numbers as people write them", () => {
  test.each([
    ["500", 500n],
    ["4K", 4096n],
    ["2M", 2097152n],
    ["2MiB", 2097152n],
    ["1g", 1073741824n],
    ["1T", 1099511627776n],
  ])("size %s", (text, bytes) => {
    expect(parseSize("--max-freed", text)).toBe(bytes);
  });

  test.each(["", "-1", "1.5G", "five", "1X", "9".repeat(16)])("size %j is refused and says which option", (text) => {
    expect(() => parseSize("--max-freed", text)).toThrow(
      expect.objectContaining({ code: "CLI_SIZE_INVALID", details: { option: "--max-freed", value: text } }),
    );
  });

  test.each(["", "-1", "1.5", "x", "9".repeat(10)])("count %j is refused", (text) => {
    expect(() => parseCount("--cores", text)).toThrow(expect.objectContaining({ code: "CLI_NUMBER_INVALID" }));
  });

  test("bytes", () => {
    expect([0n, 1n, 1023n, 1024n, 10n * 1024n ** 2n, 3n * 1024n ** 5n].map(printBytes)).toEqual([
      "0 bytes",
      "1 byte",
      "1023 bytes",
      "1.0 KiB",
      "10 MiB",
      "3.0 PiB",
    ]);
  });

  test("durations", () => {
    expect([3.4, 999, 2400, 185_000, 7_380_000].map(printDuration)).toEqual([
      "3 ms",
      "999 ms",
      "2.4 s",
      "3 min 5 s",
      "2 h 3 min",
    ]);
  });

  test("plurals", () => {
    expect([count(1, "build"), count(0, "build"), count(2, "path is", "paths are")]).toEqual([
      "1 build",
      "0 builds",
      "2 paths are",
    ]);
  });
});
