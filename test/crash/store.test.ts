/** The store under `kill -9`, in short: `node test/crash/store-kills.ts RUNS SEED` is the long form. */
import { expect, test } from "vitest";
import { killAgainAndAgain, places } from "./store-kills.ts";

test("killed at each named point and at any moment, everything valid is whole, and the store goes on", async () => {
  const histogram = await killAgainAndAgain({ runs: places.length, seed: 20261124 });
  console.info(histogram);
  expect(Object.entries(histogram).filter(([, count]) => count === 0)).toEqual([]);
}, 240_000);
