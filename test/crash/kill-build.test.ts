import { spawn } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import {
  checkContents,
  ended,
  noProcessLeft,
  openHarness,
  startClient,
  startDaemon,
  stop,
  strikeOnce,
} from "./kill-build.ts";
import { countStruck, type Moment, makeMoments, nameOf, printHistogram } from "./moments.ts";

/**
 * Goal: a blow to any of a build's processes at any of its steps leaves no process of the build, no valid path with
 * other contents than recorded, and a store in which the next build succeeds.
 * Method: the short form of `npm run crash`, each victim at each of its steps once, with a fixed seed.
 */
test("a build that is struck anywhere leaves nothing running and nothing half-made", { timeout: 600_000 }, async () => {
  using harness = openHarness();
  const moments = makeMoments(1, 32);
  const failures: string[] = [];
  const struck: Moment[] = [];
  for (const [index, moment] of moments.entries())
    try {
      if (await strikeOnce(harness, moment, index)) struck.push(moment);
    } catch (error) {
      failures.push(`${nameOf(moment)}, time ${moment.nth}, ${moment.delayMs} ms later: ${String(error)}`);
    }
  const counts = countStruck(struck);
  expect(failures, printHistogram(counts)).toEqual([]);
  expect(Math.min(...counts.values()), printHistogram(counts)).toBeGreaterThan(0);
});

/** The positive controls: with the fault put in by hand, the harness must find it. */
test("the harness finds a process that stays", async () => {
  using harness = openHarness();
  const marker = `cloister-control-${process.pid}`;
  const stray = spawn(harness.builder, [marker], { env: { out: join(harness.directory, "out") }, stdio: "ignore" });
  try {
    await new Promise((resolve) => stray.once("exit", resolve)); // its children have forked away by then
    await expect(noProcessLeft(marker, 100)).rejects.toThrow(marker);
  } finally {
    for (const pid of readdirSync("/proc").filter((name) => /^[0-9]+$/.test(name)))
      try {
        if (readFileSync(`/proc/${pid}/cmdline`, "latin1").includes(marker)) process.kill(Number(pid), "SIGKILL");
      } catch {
        // it ended while we looked
      }
  }
});

test("the harness finds a valid path with other contents", { timeout: 120_000 }, async () => {
  using harness = openHarness();
  const root = join(harness.directory, "root");
  mkdirSync(root);
  const daemon = await startDaemon(root);
  try {
    expect(await ended(startClient(root, harness.builder, "control"), "the client")).toBe(0);
    await checkContents(root);
    const store = join(root, "cloister/store");
    const output = readdirSync(store).find((name) => name.endsWith("-first-control"));
    const file = join(store, output ?? "");
    chmodSync(file, 0o644);
    writeFileSync(file, "torn");
    await expect(checkContents(root)).rejects.toThrow("first-control");
  } finally {
    await stop(daemon);
  }
});
