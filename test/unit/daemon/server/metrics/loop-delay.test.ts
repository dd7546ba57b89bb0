/** The watch sees a main thread that is held up by work of its own, and nothing before it is asked to. */
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { LoopDelay } from "../../../../../daemon/server/metrics/loop-delay.ts";

const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0);

test("work that holds the main thread is seen as long as it held it", async () => {
  using delay = new LoopDelay();
  await sleep(10);
  expect(sum(delay.delays.counts)).toBe(0); // nobody watches yet
  delay.watch();
  while (sum(delay.delays.counts) === 0) await sleep(1);
  const before = process.cpuUsage();
  const used = () => process.cpuUsage(before).user + process.cpuUsage(before).system;
  while (used() < 60_000); // of its own processor time: waiting for a processor is no work
  const seen = sum(delay.delays.counts);
  while (sum(delay.delays.counts) === seen) await sleep(1);
  expect(delay.longest).toBeGreaterThan(0.04);
});

test("it ends with what it belongs to", async () => {
  const delay = new LoopDelay();
  delay.watch();
  delay[Symbol.dispose]();
  await sleep(10);
  expect(sum(delay.delays.counts)).toBe(0);
});
