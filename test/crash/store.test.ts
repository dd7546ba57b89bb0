/** The store under `kill -9`, in short: `node test/crash/store-kills.ts RUNS SEED` is the long form. */
import { expect, test } from "vitest";
import { TemporaryStore } from "../support/temporary-store.ts";
import { type WriterKind, writerStarter } from "../support/tree-writers.ts";
import { killAgainAndAgain, places } from "./store-kills.ts";

test("killed at each named point and at any moment, everything valid is whole, and the store goes on", async () => {
  const writer = await chooseWriter();
  const histogram = await killAgainAndAgain({ runs: places.length, seed: 20261124, writer });
  console.info(writer, histogram);
  expect(Object.entries(histogram).filter(([, count]) => count === 0)).toEqual([]);
}, 240_000);

/** The launcher, whose processes have to end with the killed one, where one can run. */
async function chooseWriter(): Promise<WriterKind> {
  await using temporary = new TemporaryStore();
  try {
    await temporary.open({ startWriter: writerStarter("launcher") });
    return "launcher";
  } catch {
    return "plain";
  }
}
