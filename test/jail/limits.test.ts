/**
 * What a build may take: each builder here tries to take without end, and is ended within its limit, with the reason told.
 * Where the machine lets nobody make control groups, what is left is tried: rlimits, and saying so.
 */
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type JailSpec, noResourceLimits, type ResourceLimits } from "../../sandbox-native/jail-spec.ts";
import { strengthsToTest } from "../support/granted-strengths.ts";
import { fillAlmost, mountSmall } from "../support/small-disk.ts";
import { makeTemporaryLauncher, noLimits, shellSpec, type TemporaryLauncher } from "../support/temporary-launcher.ts";

const mebibyte = 1n << 20n;

const limited = (
  resources: Partial<ResourceLimits>,
  limits: Partial<JailSpec["limits"]> = {},
  changes: Partial<JailSpec> = {},
): Partial<JailSpec> => ({
  outputs: [],
  limits: { ...noLimits, ...limits, resources: { ...noResourceLimits, ...resources } },
  ...changes,
});

const directory = (kind: "disk" | "tmpfs", sizeBytes: bigint, inodes: bigint): Partial<JailSpec> => ({
  buildDirectory: { inside: "/build", kind, sizeBytes, inodes },
});

/** Doubles a string until something ends it. */
const memoryHog = 'x=0123456789abcdef; while true; do x="$x$x"; done';
/** The first one's processes end when no more can be made, and are made again; the other's stay. */
const forkBomb = "bomb() { bomb | bomb & }; bomb; while true; do sleep 1; done";
const lastingBomb = "(while true; do sleep 60 & done); exec sleep 60";

describe.for(await strengthsToTest())("in $strength strength", ({ strength, missing }) => {
  let here: TemporaryLauncher;
  let hasGroups = false;
  beforeAll(async () => {
    if (missing !== "") return;
    here = await makeTemporaryLauncher({ strength });
    const { answer } = await here.run(shellSpec("true", limited({ memoryBytes: 64n * mebibyte })));
    hasGroups = !answer.unenforced.includes("memory");
  });
  afterAll(() => here?.[Symbol.asyncDispose]());
  const run = async (script: string, changes: Partial<JailSpec>) => {
    const ran = await here.run(shellSpec(script, changes));
    await here.launcher.discard([], [ran.answer.view]);
    return ran;
  };
  const endingOf = async (script: string, changes: Partial<JailSpec>) => (await run(script, changes)).answer.ending;

  test("a memory hog is ended at its limit, and that is told with the peak", async ({ skip }) => {
    skip(missing !== "", missing);
    skip(!hasGroups, "needs control groups that this user may write");
    const memoryBytes = 64n * mebibyte;
    const { answer } = await run(memoryHog, limited({ memoryBytes }));
    expect(answer.ending).toMatchObject({ kind: "out-of-memory", limit: memoryBytes });
    const { reached } = answer.ending as { reached: bigint };
    expect(reached).toBeGreaterThan(memoryBytes / 2n);
    expect(reached).toBeLessThanOrEqual(memoryBytes);
    expect(answer.resources.peakMemoryBytes).toBe(Number(reached));
    expect(answer.unenforced).toEqual([]);
  });

  test("a file in memory counts as memory of the build that wrote it", async ({ skip }) => {
    skip(missing !== "", missing);
    skip(!hasGroups, "needs control groups that this user may write");
    const ending = await endingOf(
      "dd if=/dev/zero of=/tmp/file bs=1M count=256",
      limited({ memoryBytes: 48n * mebibyte }),
    );
    expect(ending).toMatchObject({ kind: "out-of-memory" });
  });

  test("without control groups a memory hog ends all the same, and what was not enforced is told", async ({ skip }) => {
    skip(missing !== "", missing);
    await using bare = await makeTemporaryLauncher({ strength, controlGroupRoot: "none" });
    const changes = limited({ memoryBytes: 64n * mebibyte, cpuThousandths: 500, cpuWeight: 50, processes: 100 });
    const { answer } = await bare.run(shellSpec(memoryHog, changes));
    expect(answer.unenforced).toEqual(["memory", "cpus", "cpuWeight"]);
    expect(["exited", "signalled"]).toContain(answer.ending.kind);
    expect(answer.ending).not.toEqual({ kind: "exited", code: 0 });
    expect(answer.resources.maxResidentBytes).toBeLessThan(Number(100n * mebibyte));
  });

  test("who requires limits that cannot be enforced gets no build", async ({ skip }) => {
    skip(missing !== "", missing);
    await using bare = await makeTemporaryLauncher({ strength, controlGroupRoot: "none" });
    const required = (resources: Partial<ResourceLimits>) =>
      shellSpec("echo began", limited({ ...resources, required: true }));
    const refused = await bare.run(required({ memoryBytes: 64n * mebibyte }));
    expect(refused.answer.ending).toEqual({ kind: "not-enforced" });
    expect(refused.answer.unenforced).toEqual(["memory"]);
    expect(refused.log).toBe("");
    expect((await bare.run(required({ processes: 64 }))).log).toBe("began\n");
  });

  test.for([{ groups: true }, { groups: false }])(
    "a fork bomb is ended, with control groups: $groups",
    async ({ groups }, { skip }) => {
      skip(missing !== "", missing);
      skip(groups && !hasGroups, "needs control groups that this user may write");
      // A weight that changes nothing is what makes it get a group.
      for (const bomb of groups ? [forkBomb, lastingBomb] : [lastingBomb])
        expect(await endingOf(bomb, limited({ processes: 60, cpuWeight: groups ? 100 : 0 }))).toMatchObject({
          kind: "too-many-processes",
          limit: 60n,
        });
    },
  );

  test("a fork bomb is ended where groups can hold memory but not processes", async ({ skip }) => {
    skip(missing !== "", missing);
    skip(process.geteuid?.() !== 0 || !existsSync("/sys/fs/cgroup/memory"), "needs root and groups of version 1");
    // A path below one hierarchy's mount point is in none of the others.
    const root = `/sys/fs/cgroup/memory/limits-test-${randomBytes(6).toString("hex")}`;
    mkdirSync(root);
    try {
      await using onlyMemory = await makeTemporaryLauncher({ strength, controlGroupRoot: root });
      const changes = limited({ processes: 60, memoryBytes: 256n * mebibyte });
      const { answer } = await onlyMemory.run(shellSpec(lastingBomb, changes));
      expect(answer.unenforced).toEqual([]);
      expect(answer.ending).toMatchObject({ kind: "too-many-processes", limit: 60n });
    } finally {
      rmdirSync(root);
    }
  });

  test("as many processes as are allowed are allowed", async ({ skip }) => {
    skip(missing !== "", missing);
    const script = "for i in 1 2 3 4 5 6 7; do sleep 0.4 & done; wait; echo done";
    for (const cpuWeight of hasGroups ? [0, 100] : [0])
      expect((await run(script, limited({ processes: 8, cpuWeight }))).answer).toMatchObject({
        ending: { kind: "exited", code: 0 },
        unenforced: [],
      });
  });

  test.for(["disk", "tmpfs"] as const)("a filler of a build directory on %s is ended", async (kind, { skip }) => {
    skip(missing !== "", missing);
    // It does not even notice that the disk is full, and does not end by itself.
    const filler = "while true; do cat /dev/zero >> file; sleep 0.1; done";
    const limitBytes = 8n * mebibyte;
    const ending = await endingOf(filler, limited({}, {}, directory(kind, limitBytes, 0n)));
    expect(ending).toMatchObject({ kind: "directory-full", limit: limitBytes });
  });

  test.for(["disk", "tmpfs"] as const)(
    "a filler of the inodes of a build directory on %s is ended",
    async (kind, { skip }) => {
      skip(missing !== "", missing);
      const filler = "i=0; while true; do mkdir d$i; : > d$i/f; i=$((i+1)); done 2>/dev/null";
      const ending = await endingOf(filler, limited({}, {}, directory(kind, 0n, 500n)));
      expect(ending).toMatchObject({ kind: "directory-inodes", limit: 500n });
    },
  );

  test("what is made among the outputs counts as the build directory's, and inputs do not", async ({ skip }) => {
    skip(missing !== "", missing);
    const fill = shellSpec(
      "mkdir $out; cat /dev/zero > $out/file; sleep 60",
      limited({}, {}, { ...directory("disk", 4n * mebibyte, 0n), outputs: [`${"0".repeat(32)}-out`] }),
    );
    const ran = await here.run(fill);
    await here.launcher.discard([], [ran.answer.view]);
    expect(ran.answer.ending).toMatchObject({ kind: "directory-full" });
    const few = await endingOf("sleep 0.3", limited({}, {}, directory("disk", 0n, 1n)));
    expect(few).toEqual({ kind: "exited", code: 0 });
  });

  test("what is nested too deep to be measured is not more than the limit allows", async ({ skip }) => {
    skip(missing !== "", missing);
    const script = "i=0; while [ $i -lt 300 ]; do mkdir d && cd d; i=$((i+1)); done; sleep 60";
    const ending = await endingOf(script, limited({}, {}, directory("disk", 1024n * mebibyte, 0n)));
    expect(ending).toMatchObject({ kind: "directory-full" });
  });

  test.for([
    { what: "bytes", kind: "disk-low", least: { leastFreeBytes: 1n << 62n } },
    { what: "inodes", kind: "disk-inodes-low", least: { leastFreeInodes: 1n << 62n } },
  ] as const)("a disk with few $what left ends the build", async ({ what, kind, least }, { skip }) => {
    skip(missing !== "", missing);
    using small = mountSmall(24, what === "inodes" ? 1000 : 0);
    if (small === undefined) return skip("needs to mount a tmpfs");
    const folder = mkdtempSync(join(small.path, "launcher-"));
    await using onSmall = await makeTemporaryLauncher({ strength, folder });
    // More than any disk has: then a twentieth must be free, and at first it is.
    const build = (script: string) => onSmall.run(shellSpec(script, limited(least)));
    expect((await build("sleep 0.3")).answer.ending).toEqual({ kind: "exited", code: 0 });
    fillAlmost(small.path, what);
    expect((await build("sleep 10")).answer.ending).toMatchObject({ kind });
  });

  test("a log flood, a builder that ignores SIGTERM, one that daemonises with the log open and one that closes its output", async ({
    skip,
  }) => {
    skip(missing !== "", missing);
    expect(await endingOf("yes", limited({}, { logBytes: 100_000 }))).toEqual({ kind: "log-limit" });
    const stubborn = "trap '' TERM INT HUP; while true; do sleep 0.1; done";
    expect(await endingOf(stubborn, limited({}, { wallTimeMs: 300 }))).toEqual({ kind: "timed-out" });
    const daemon = "setsid sh -c 'while true; do sleep 0.1; done' & exit 0";
    expect(await endingOf(daemon, limited({}, { wallTimeMs: 5000 }))).toEqual({ kind: "exited", code: 0 });
    const silent = "exec >&- 2>&-; while true; do sleep 0.1; done";
    expect(await endingOf(silent, limited({}, { silenceMs: 300 }))).toEqual({ kind: "silent" });
  });

  test("the share of a processor is kept to", async ({ skip }) => {
    skip(missing !== "", missing);
    skip(!hasGroups, "needs control groups that this user may write");
    const spin = "end=$(($(date +%s) + 3)); while [ $(date +%s) -lt $end ]; do :; done";
    const { answer } = await run(spin, limited({ cpuThousandths: 250 }));
    const { cpuUserMicroseconds, cpuSystemMicroseconds, wallMicroseconds } = answer.resources;
    expect(answer.ending).toEqual({ kind: "exited", code: 0 });
    expect((cpuUserMicroseconds + cpuSystemMicroseconds) / wallMicroseconds).toBeLessThan(0.4);
  });

  test("what a build took is counted over all of its processes", async ({ skip }) => {
    skip(missing !== "", missing);
    skip(!hasGroups, "needs control groups that this user may write");
    const script = "for i in 1 2 3 4 5; do dd if=/dev/zero of=/tmp/$i bs=1M count=4 2>/dev/null & done; wait";
    const { answer } = await run(script, limited({ memoryBytes: 256n * mebibyte }));
    expect(answer.ending).toEqual({ kind: "exited", code: 0 });
    expect(answer.resources.peakMemoryBytes).toBeGreaterThan(Number(20n * mebibyte));
    const most = answer.resources.mostProcesses; // not every kernel keeps it
    if (most !== undefined) expect(most).toBeGreaterThan(1);
  });

  test("builds leave no group, and a launcher none of its own, nor of one that was killed", async ({ skip }) => {
    skip(missing !== "", missing);
    skip(process.geteuid?.() !== 0 || !existsSync("/sys/fs/cgroup/memory"), "needs root and groups of version 1");
    const name = `limits-test-${randomBytes(6).toString("hex")}`;
    const places = ["memory", "cpu", "pids"].map((controller) => `/sys/fs/cgroup/${controller}/${name}`);
    const groups = (): string[] =>
      places
        .flatMap((place) => readdirSync(place, { withFileTypes: true }).filter((entry) => entry.isDirectory()))
        .map((entry) => `${entry.parentPath}/${entry.name}`);
    for (const place of places) mkdirSync(place);
    try {
      const options = { strength, controlGroupRoot: `/${name}` };
      const killed = await makeTemporaryLauncher(options);
      await killed.run(shellSpec("true", limited({ memoryBytes: 64n * mebibyte })));
      expect(groups()).toHaveLength(places.length);
      await expect.poll(() => groups().flatMap((group) => inner(group)), { timeout: 5000 }).toEqual([]);
      process.kill(killed.launcher.pid, "SIGKILL");
      await killed.launcher.closed;
      const [left = ""] = groups();
      expect(left).not.toBe("");
      {
        await using after = await makeTemporaryLauncher(options);
        expect(groups()).not.toContain(left);
        expect(
          (await after.run(shellSpec("true", limited({ memoryBytes: mebibyte * 64n })))).answer.unenforced,
        ).toEqual([]);
        await killed[Symbol.asyncDispose]();
      }
      await expect.poll(groups, { timeout: 5000 }).toEqual([]);
    } finally {
      for (const place of places) rmdirSync(place);
    }
  });
});

const inner = (group: string): string[] =>
  readdirSync(group, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);
