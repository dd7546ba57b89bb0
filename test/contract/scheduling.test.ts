/** Who gets the machine when several want it, with real builds. */
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import type { Service } from "../../daemon/api/service.ts";
import { watchBuild } from "../../daemon/client/watch-build.ts";
import { missingBusybox } from "../support/busybox.ts";
import { missingJails } from "../support/command-line.ts";
import { type Derived, LocalBuilds } from "../support/local-builds.ts";
import { TestDaemon } from "../support/test-daemon.ts";

const missing = missingJails || (missingBusybox ? "needs a static busybox (busybox-static)" : "");
const caller = (uid: number, trusted = false) => ({ uid, gid: uid, pid: process.pid, trusted });

/** A build that keeps a processor busy for so many rounds. */
const busy = (builds: LocalBuilds, name: string, rounds: number): Promise<Derived> =>
  builds.derive({ name, script: `i=0; while [ $i -lt ${rounds} ]; do i=$((i+1)); done; echo > $out` });

async function startDaemon(options: { readonly maxJobs: number; readonly shares?: ReadonlyMap<number, number> }) {
  const daemon = await TestDaemon.start(options);
  const service = daemon.service.forCaller(caller(0, true), "scheduling test");
  return { daemon, service, builds: await LocalBuilds.over(service, daemon.root) };
}

async function until(isTrue: () => Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await sleep(20);
}

describe.skipIf(missing !== "")(`who goes next${missing && `: ${missing}`}`, () => {
  test("three users with shares 1, 1 and 2 and jobs of different sizes get processor time by their shares", {
    timeout: 300_000,
  }, async () => {
    const shares = new Map([[101, 1], [102, 1], [103, 2]]); // biome-ignore format: a table
    const { daemon, service, builds } = await startDaemon({ maxJobs: 2, shares });
    await using _daemon = daemon;
    const rounds = new Map([[101, 10_000], [102, 50_000], [103, 25_000]]); // biome-ignore format: a table
    const jobs = new Map<number, Derived[]>();
    for (const uid of shares.keys()) {
      const count = Math.ceil(5_000_000 / (rounds.get(uid) ?? 1)); // more than can be built until it is looked at
      const own: Derived[] = [];
      for (let index = 0; index < count; index += 1)
        own.push(await busy(builds, `job-${uid}-${index}`, rounds.get(uid) ?? 1));
      jobs.set(uid, own);
    }
    const runs = [...jobs].map(([uid, own]) =>
      watchBuild(
        daemon.service.forCaller(caller(uid), `user ${uid}`),
        own.map(({ target }) => target),
      ),
    );
    const ended = runs.map(({ results }) =>
      results.then(
        () => undefined,
        () => undefined,
      ),
    ); // cancelled below
    const usedBy = async () => {
      const used = new Map<number, number>();
      for (const { user, status, resources } of await service.queryBuildRecords({ limit: 10_000 }))
        if (status === "done" && user !== undefined)
          used.set(
            user.uid,
            (used.get(user.uid) ?? 0) + resources.cpuUserMicroseconds + resources.cpuSystemMicroseconds,
          );
      return used;
    };
    const largest = 4 * 50_000; // twenty of the largest jobs for the whole: a twentieth is half of what is allowed
    let used = await usedBy();
    const sum = () => [...used.values()].reduce((all, one) => all + one, 0);
    const perRound = async () => {
      const [one] = (await service.queryBuildRecords({ text: "job-102", limit: 1 })).filter(
        ({ status }) => status === "done",
      );
      return one === undefined ? 0 : one.resources.cpuUserMicroseconds / 50_000;
    };
    await until(async () => (await perRound()) > 0);
    const enough = (await perRound()) * largest * 20;
    await until(async () => {
      used = await usedBy();
      return sum() > enough;
    });
    for (const run of runs) run.cancel();
    await Promise.all(ended);
    for (const [uid, share] of shares) {
      const part = (used.get(uid) ?? 0) / sum() / (share / 4);
      expect(part, `user ${uid}: ${JSON.stringify([...used])}`).toBeGreaterThan(0.9);
      expect(part, `user ${uid}: ${JSON.stringify([...used])}`).toBeLessThan(1.1);
    }
  });

  test("a user's higher priority goes first, and what waits says for what", { timeout: 100_000 }, async () => {
    const { daemon, service, builds } = await startDaemon({ maxJobs: 1 });
    await using _daemon = daemon;
    const order: string[] = [];
    const run = async (own: Service, name: string, options: { readonly priority?: number } = {}) => {
      const { target } = await builds.derive({
        name,
        script: name === "first" ? "sleep 1000; echo > $out" : "echo > $out",
      });
      const build = watchBuild(own, [target], options);
      void (async () => {
        for await (const event of build.events) if (event.kind === "build-started") order.push(event.name);
      })();
      return build;
    };
    const first = await run(service, "first");
    const firstEnded = first.results.catch(() => undefined);
    await until(async () => order.length === 1);
    const low = await run(service, "low", { priority: -5 });
    const usual = await run(service, "usual");
    const high = await run(service, "high", { priority: 50 });
    const others = daemon.service.forCaller(caller(7), "another user");
    const foreign = await run(others, "foreign");
    await until(async () => (await service.status()).waitingBuilds === 4);
    const waits = new Map((await service.queryActivity()).builds.map(({ name, waitsFor }) => [name, waitsFor?.kind]));
    expect(Object.fromEntries(waits)).toEqual({
      ...{ first: undefined, high: "slot", low: "slot", usual: "slot", foreign: "share" },
    });
    first.cancel();
    await firstEnded;
    await Promise.all([low, usual, high, foreign].map(({ results }) => results));
    expect(order[0]).toBe("first");
    expect(order[1]).toBe("high");
    expect(order.indexOf("usual")).toBeLessThan(order.indexOf("low"));
    expect(order.indexOf("foreign")).toBeLessThan(order.indexOf("low"));
  });

  test("what waits for others names them", async () => {
    const { daemon, service, builds } = await startDaemon({ maxJobs: 1 });
    await using _daemon = daemon;
    const below = await builds.derive({ name: "below", script: "sleep 1000; echo > $out" });
    const above = await builds.derive({ name: "above", inputs: [below], script: "echo > $out" });
    await using build = watchBuild(service, [above.target]);
    build.results.catch(() => undefined);
    await until(async () => (await service.status()).runningBuilds === 1);
    const { builds: active } = await service.queryActivity();
    expect(active.find(({ name }) => name === "above")?.waitsFor).toEqual({
      ...{ kind: "dependencies", names: ["below"], count: 1 },
    });
  });

  test("PRIORITY_NOT_ALLOWED: above 0 is for trusted users, and there are bounds", async () => {
    const { daemon, service, builds } = await startDaemon({ maxJobs: 1 });
    await using _daemon = daemon;
    const { target } = await builds.derive({ script: "echo > $out" });
    const others = daemon.service.forCaller(caller(7), "another user");
    const code = { code: "PRIORITY_NOT_ALLOWED" };
    await expect(watchBuild(others, [target], { priority: 1 }).results).rejects.toMatchObject(code);
    await expect(watchBuild(service, [target], { priority: 101 }).results).rejects.toMatchObject(code);
    expect(await watchBuild(others, [target], { priority: -100 }).results).toMatchObject([{ status: "built" }]);
  });

  test("a second look at a plan says how long it took before", async () => {
    const { daemon, service, builds } = await startDaemon({ maxJobs: 1 });
    await using _daemon = daemon;
    const planOf = async (name: string) => {
      const { target } = await builds.derive({ name, script: "echo > $out" });
      const run = watchBuild(service, [target]);
      for await (const event of run.events) if (event.kind === "plan") return event.toBuild[0]?.expectedWallMs;
      return undefined;
    };
    expect(await planOf("tool-1.0")).toBe(undefined);
    await until(async () => (await service.status()).runningBuilds === 0);
    expect(await planOf("tool-1.1")).toBeGreaterThan(0);
  });
});
