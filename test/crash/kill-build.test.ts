import { expect, test } from "vitest";
import { openHarness, strikeOnce } from "./kill-build.ts";
import { makeMoments, nameOf, printHistogram } from "./moments.ts";

/**
 * Goal: a blow to any of a build's processes at any of its steps leaves no process of the build, no valid path with
 * other contents than recorded, and a store in which the next build succeeds.
 * Method: the short form of `npm run crash`, each victim at each of its steps once, with a fixed seed.
 */
test("a build that is struck anywhere leaves nothing running and nothing half-made", { timeout: 600_000 }, async () => {
  using harness = openHarness();
  const moments = makeMoments(1, 32);
  const failures: string[] = [];
  for (const [index, moment] of moments.entries())
    try {
      await strikeOnce(harness, moment, index);
    } catch (error) {
      failures.push(`${nameOf(moment)}, time ${moment.nth}, ${moment.delayMs} ms later: ${String(error)}`);
    }
  expect(failures, printHistogram(moments)).toEqual([]);
});
