/** The watch sees a main thread that is held up by work of its own, and nothing before it is asked to. */
import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import { LoopDelay } from "../../../../../daemon/server/metrics/loop-delay.ts";

const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0);

/** Until a timer that is set for every two milliseconds must have come: the loop looks at those that are due in each turn. */
async function passWatch(): Promise<void> {
  const until = performance.now() + 5;
  while (performance.now() < until);
  await turn();
  await turn();
}

test("work that holds the main thread is seen as long as it held it", async () => {
  using delay = new LoopDelay();
  await passWatch();
  expect(sum(delay.delays.counts)).toBe(0); // nobody watches yet
  delay.watch();
  await passWatch();
  expect(sum(delay.delays.counts)).toBeGreaterThan(0);
  const before = process.cpuUsage();
  const used = () => process.cpuUsage(before).user + process.cpuUsage(before).system;
  while (used() < 60_000); // of its own processor time: waiting for a processor is no work
  await passWatch();
  expect(delay.longest).toBeGreaterThan(0.04);
});

test("it ends with what it belongs to", async () => {
  const delay = new LoopDelay();
  delay.watch();
  delay[Symbol.dispose]();
  await passWatch();
  expect(sum(delay.delays.counts)).toBe(0);
});
