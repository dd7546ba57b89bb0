import { describe, expect, test } from "vitest";
import { parseLimit, readLimitWords, tightestLimits } from "../../../../daemon/api/build-limits.ts";

describe("limits of builds", () => {
  test("each is read in its unit, and nothing else is", () => {
    expect(parseLimit("memoryBytes", "512M")).toBe(512 * 2 ** 20);
    expect(parseLimit("memoryBytes", "1GiB")).toBe(2 ** 30);
    expect(parseLimit("memoryBytes", "17")).toBe(17);
    expect(parseLimit("cpuThousandths", "1.5")).toBe(1500);
    expect(parseLimit("cpuThousandths", "0.001")).toBe(1);
    expect(parseLimit("timeoutMs", "90")).toBe(90_000);
    expect(parseLimit("cpuWeight", "10000")).toBe(10_000);
    for (const wrong of ["", "-1", "1.5", "1e3", "M", "5 M", "999999999999999T"])
      expect(parseLimit("memoryBytes", wrong), wrong).toBeUndefined();
    expect(parseLimit("cpuWeight", "10001")).toBeUndefined();
    expect(parseLimit("cpuThousandths", "1.2345")).toBeUndefined();
  });

  test("the attribute is words and values, and says what is wrong with it", () => {
    expect(readLimitWords(" memory=1K  cpus=2\n")).toEqual({ memoryBytes: 1024, cpuThousandths: 2000 });
    expect(readLimitWords("")).toEqual({});
    expect(readLimitWords("memmory=1K")).toContain("memmory");
    expect(readLimitWords("memory")).toContain("memory");
    expect(readLimitWords("memory=much")).toContain("much");
  });

  test("the tightest holds, and 0 is no limit", () => {
    expect(
      tightestLimits({ processes: 100, memoryBytes: 0 }, { processes: 10 }, { processes: 0, logBytes: 5 }),
    ).toEqual({
      processes: 10,
      logBytes: 5,
    });
  });
});
