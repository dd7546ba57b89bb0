import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { packageFolder } from "../../../../sandbox-native/pinned-node.mjs";

/** In a process of its own: holds 200 MiB in pieces as messages are, lets go of them, and waits until they are given back. */
const script = `
  import { SpareMemory } from ${JSON.stringify(join(packageFolder, "dist/daemon/server/spare-memory.js"))};
  const spare = new SpareMemory({ quietMs: 20 });
  const before = process.memoryUsage.rss();
  let held = Array.from({ length: 2000 }, () => Buffer.alloc(100_000, "x"));
  held = held.concat(Array.from({ length: 300_000 }, (_, index) => ({ index, text: String(index) })));
  const kept = held.filter((_, index) => index % 100 === 0); // between what is freed, as in a daemon
  const most = process.memoryUsage.rss();
  held = undefined;
  if (process.argv.includes("note")) spare.note();
  const share = () => (process.memoryUsage.rss() - before) / (most - before);
  const giveUpAtMs = performance.now() + (process.argv.includes("note") ? 30_000 : 1000);
  while (share() > 0.4 && performance.now() < giveUpAtMs) await new Promise((resolve) => setTimeout(resolve, 20));
  console.log(JSON.stringify({ share: share(), kept: kept.length }));
`;

function run(...args: readonly string[]): number {
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script, ...args], {
    encoding: "utf8",
  });
  expect(stderr).toBe("");
  return JSON.parse(stdout).share as number;
}

test("what a busy time left behind is given back once it is quiet", () => {
  expect(run("note")).toBeLessThan(0.4);
});

test("control: without it, it stays", () => {
  expect(run()).toBeGreaterThan(0.4);
});
