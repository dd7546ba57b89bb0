/**
 * Goal: jails leave nothing behind, however many there are and however they end.
 * Method: some hundred builds of every kind through a daemon, in an order by a seed; the long form is `npm run soak`.
 */
import { describe, expect, test } from "vitest";
import { strengthsToTest } from "../support/granted-strengths.ts";
import { problemsOf, soak } from "./soak.ts";

describe.for(await strengthsToTest())("in $strength strength", ({ strength, missing }) => {
  test("300 jails one after another leave nothing behind, and memory does not grow with them", async ({ skip }) => {
    skip(missing !== "", missing);
    expect(problemsOf(await soak(300, 5, strength))).toEqual([]);
  });
});
