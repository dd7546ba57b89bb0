/**
 * Goal: jails leave nothing behind, however many there are and however they end.
 * Method: some hundred builds of every kind through a daemon, in an order by a seed; the long form is `npm run soak`.
 */
import { describe, expect, test } from "vitest";
import { strengthsToTest } from "../support/granted-strengths.ts";
import { type Held, soak } from "./soak.ts";

const jails = 300;
/** Jails and directories that are prepared for builds to come, and caches that fill, come and go. */
const slack = 40;

describe.for(await strengthsToTest())("in $strength strength", ({ strength, missing }) => {
  test("300 jails one after another leave nothing behind, and memory does not grow with them", async ({ skip }) => {
    skip(missing !== "", missing);
    const { before, after, launcherKiB, daemonKiB, left } = await soak(jails, 5, strength);
    for (const name of Object.keys(before) as (keyof Held)[])
      expect.soft(after[name], name).toBeLessThan(before[name] + (name === "zombies" ? 1 : slack));
    expect(after.zombies).toBe(0);
    expect(left).toEqual([]);
    // A page for each jail would be 4 KiB × 150 between the two; the daemon's heap is still growing to its size here.
    expect(launcherKiB[1] - launcherKiB[0]).toBeLessThan(512);
    expect(daemonKiB[1] - daemonKiB[0]).toBeLessThan(64 * 1024);
  });
});
