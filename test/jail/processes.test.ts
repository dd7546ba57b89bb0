/** Nothing outlives its jail, no jail its launcher, and neighbours cannot reach each other. */
import { spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { strengthsToTest } from "../support/granted-strengths.ts";
import { findProcesses } from "../support/processes.ts";
import {
  busybox,
  makeTemporaryLauncher,
  out,
  shellSpec,
  storeName,
  type TemporaryLauncher,
} from "../support/temporary-launcher.ts";

/** A script that leaves processes behind in every way there is; each shows `mark` in its command line. */
const hostile = (mark: string) => `
  trap '' 1 2 3 13 15
  sleep ${mark} &
  setsid sleep ${mark} &
  (setsid sh -c 'trap "" 1 2 3 15; sleep ${mark}; true' &) &
  (sleep ${mark} </dev/null >/dev/null 2>&1 &)
  sleep 0.2; echo ready`;

/** No other process sleeps for as long as this. */
const makeMark = () => `${randomInt(100_000, 900_000)}.${randomInt(1000, 9999)}`;

describe.for(await strengthsToTest())("in $strength strength", ({ strength, missing }) => {
  let here: TemporaryLauncher;
  beforeAll(async () => {
    if (missing === "") here = await makeTemporaryLauncher({ strength });
  });
  afterAll(() => here?.[Symbol.asyncDispose]());

  test("what forked away, made a session of its own and ignores signals ends with the builder", async ({ skip }) => {
    skip(missing !== "", missing);
    const mark = makeMark();
    const { answer, log } = await here.run(shellSpec(hostile(mark), { outputs: [] }));
    expect(log).toBe("ready\n");
    expect(findProcesses(mark)).toEqual([]);
    await here.launcher.discard([], [answer.view]);
  });

  test("a cancelled build is gone when that is answered", async ({ skip }) => {
    skip(missing !== "", missing);
    const mark = makeMark();
    const cancel = new AbortController();
    const answer = await here.launcher.build(
      { spec: shellSpec(`${hostile(mark)}; sleep ${mark}`, { outputs: [] }), candidates: [], outputs: [] },
      { onLog: () => cancel.abort(), signal: cancel.signal },
    );
    expect(answer.ending).toEqual({ kind: "cancelled" });
    expect(findProcesses(mark)).toEqual([]);
    await here.launcher.discard([], [answer.view]);
  });

  test("kill -9 of the launcher leaves no process, and an error that says so", async ({ skip }) => {
    skip(missing !== "", missing);
    await using other = await makeTemporaryLauncher({ strength });
    const mark = makeMark();
    const spec = shellSpec(`${hostile(mark)}; sleep ${mark}`, { outputs: [] });
    const building = other.launcher.build(
      { spec, candidates: [], outputs: [] },
      { onLog: () => process.kill(other.launcher.pid, "SIGKILL") },
    );
    await expect(building).rejects.toMatchObject({ code: "LAUNCHER_GONE" });
    await other.launcher.closed;
    expect(findProcesses(mark)).toEqual([]);
    expect(existsSync(`/proc/${other.launcher.pid}`)).toBe(false);
    await expect(other.launcher.discard([])).rejects.toMatchObject({ code: "LAUNCHER_GONE" });
  });

  test("kill -9 of the process that has the launcher leaves no process", async ({ skip }) => {
    skip(missing !== "", missing);
    const mark = makeMark();
    const program = fileURLToPath(new URL("../support/build-and-wait.ts", import.meta.url));
    const child = spawn(process.execPath, [program, strength, `${hostile(mark)}; sleep ${mark}`], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [said] = await once(child.stdout, "data");
    const { folder, pid } = JSON.parse(String(said)) as { folder: string; pid: number };
    child.kill("SIGKILL");
    await once(child, "exit");
    await expect.poll(() => existsSync(`/proc/${pid}`), { timeout: 10_000 }).toBe(false);
    expect(findProcesses(mark)).toEqual([]);
    // The next one removes what is left, with the rights that it takes.
    await using next = await makeTemporaryLauncher({ strength, folder });
    expect(next.launcher.unsweptEntries).toBe(0);
  });

  test("closing ends all builds", async ({ skip }) => {
    skip(missing !== "", missing);
    await using other = await makeTemporaryLauncher({ strength });
    const mark = makeMark();
    const begun = Promise.withResolvers<void>();
    const spec = shellSpec(`${hostile(mark)}; sleep ${mark}`, { outputs: [] });
    const building = other.launcher.build({ spec, candidates: [], outputs: [] }, { onLog: () => begun.resolve() });
    const ended = expect(building).rejects.toMatchObject({ code: "LAUNCHER_GONE" });
    await begun.promise;
    await other.launcher.close();
    expect(findProcesses(mark)).toEqual([]);
    await ended;
  });

  test("neighbours see, signal, trace and open nothing of each other", async ({ skip }) => {
    skip(missing !== "", missing);
    const mark = makeMark();
    const begun = Promise.withResolvers<void>();
    const cancel = new AbortController();
    const script = `echo secret > /tmp/secret; echo secret > /dev/shm/secret; echo secret > /build/secret; chmod 777 /build
      echo secret > /cloister/store/secret; (echo secret | nc -l -p 4000) & echo begun; sleep ${mark}`;
    const neighbour = here.launcher.build(
      { spec: shellSpec(script, { outputs: [] }), candidates: [], outputs: [] },
      { onLog: () => begun.resolve(), signal: cancel.signal },
    );
    await begun.promise;
    const log = await here.shell(`ps; ls /tmp /dev/shm /build /cloister/store /proc
      for pid in $(seq 2 300); do kill -0 $pid 2>/dev/null && echo "signalled $pid"; done
      cat /proc/[0-9]*/root/tmp/secret 2>&1; nc -w 1 127.0.0.1 4000 </dev/null 2>&1; true`);
    expect(log).not.toContain(mark);
    expect(log).not.toMatch(/^secret$/m);
    expect(log).not.toMatch(/^signalled/m);
    expect(log).toMatch(/Connection refused/);
    cancel.abort();
    expect((await neighbour).ending).toEqual({ kind: "cancelled" });
  });

  test("no jail is used twice: of many builds each finds everything new", async ({ skip }) => {
    skip(missing !== "", missing);
    const script = `readlink /proc/self/ns/net /proc/self/ns/mnt /proc/self/ns/pid /proc/self/ns/ipc /proc/self/ns/user
      ls /tmp /build /dev/shm; ls /cloister/store | wc -l; touch /tmp/left /build/left /dev/shm/left /cloister/store/left`;
    const runs = await Promise.all(Array.from({ length: 30 }, () => here.run(shellSpec(script, { outputs: [] }))));
    for (const { log } of runs)
      expect(log).toMatch(/\n\/build:\n\n\/dev\/shm:\n\n\/tmp:\n1\n$|\n\/tmp:\n\n\/build:\n\n\/dev\/shm:\n1\n$/);
    const views = runs.map(({ answer }) => answer.view);
    expect(new Set(views).size).toBe(views.length);
    await here.launcher.discard([], views);
  });

  test("what a builder leaves in its view and its build directory is gone soon after", async ({ skip }) => {
    skip(missing !== "", missing);
    const script = "mkdir -m 0 /build/closed /cloister/store/closed; touch /build/file /cloister/store/file";
    const { answer } = await here.run(shellSpec(script, { outputs: [] }));
    await here.launcher.discard([], [answer.view]);
    const left = () => ["closed", "file"].some((name) => existsSync(join(here.staging, answer.view, name)));
    await expect.poll(left).toBe(false);
    // Only the jails that wait have one: no more than four for two jobs.
    await expect.poll(() => readdirSync(here.builds).length).toBeLessThanOrEqual(4);
  });

  test("a view that was used before shows nothing of that: neither other inputs nor what others left", async ({
    skip,
  }) => {
    skip(missing !== "", missing);
    const [folder, file, link] = [storeName("1", "folder"), storeName("2", "file"), storeName("3", "link")];
    mkdirSync(join(here.store, folder));
    writeFileSync(join(here.store, file), "");
    symlinkSync("/here", join(here.store, link));
    const sets = [[folder], [], [file, link], [folder, file], [link], [], [folder, file, link]];
    for (const inputs of [...sets, ...sets]) {
      const script = `cd /cloister/store; ls; mkdir -m 0 closed; touch left; mv left other; mkdir ${out}; touch ${out}/x`;
      const { answer, log } = await here.run(shellSpec(script, { inputs }));
      expect(log).toBe([...inputs, busybox].map((name) => `${name}\n`).join(""));
      await here.launcher.discard([], [answer.view]);
      await expect.poll(() => existsSync(join(here.staging, answer.view, "other"))).toBe(false);
    }
  });

  test("an input that changed from a file to a directory is mounted as what it is", async ({ skip }) => {
    skip(missing !== "", missing);
    const name = storeName("4", "changing");
    const look = `stat -c %F /cloister/store/${name}`;
    writeFileSync(join(here.store, name), "x");
    expect(await here.shell(look, { inputs: [name] })).toBe("regular file\n");
    await here.launcher.remove([name]);
    mkdirSync(join(here.store, name));
    expect(await here.shell(look, { inputs: [name] })).toBe("directory\n");
    await here.launcher.remove([name]);
    for (const target of ["/one", "/another"]) {
      symlinkSync(target, join(here.store, name));
      expect(await here.shell(`readlink /cloister/store/${name}`, { inputs: [name] })).toBe(`${target}\n`);
      await here.launcher.remove([name]);
    }
  });
});
