import { expect, test } from "vitest";
import { estimateMs, printEstimate } from "../../../../daemon/cli/estimate.ts";

test("builds share the jobs, the longest is the least, unknown ones count as the average", () => {
  const of = (expectedMs: number | undefined, ranMs = 0) => ({ expectedMs, ranMs });
  expect(estimateMs([], 2)).toBeUndefined();
  expect(estimateMs([of(undefined)], 2)).toBeUndefined();
  expect(estimateMs([of(1000), of(1000), of(1000), of(1000)], 2)).toBe(2000);
  expect(estimateMs([of(5000), of(1000)], 4)).toBe(5000);
  expect(estimateMs([of(3000), of(undefined), of(1000)], 1)).toBe(6000);
  expect(estimateMs([of(1000, 400), of(1000, 5000)], 1)).toBe(600);
});

test.each([
  [10, "about 1 s"],
  [12_400, "about 12 s"],
  [43_000, "about 45 s"],
  [100_000, "about 2 min"],
  [3_600_000, "about 1 h"],
  [4_300_000, "about 1 h 10 min"],
  [7_190_000, "about 2 h"],
])("%i ms is %s", (milliseconds, text) => {
  expect(printEstimate(milliseconds)).toBe(text);
});
