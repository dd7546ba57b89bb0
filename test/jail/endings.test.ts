/** How builds end, whoever ends them. */
import { readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { JailSpec } from "../../sandbox-native/jail-spec.ts";
import { strengthsToTest } from "../support/granted-strengths.ts";
import {
  makeTemporaryLauncher,
  noLimits,
  shellSpec,
  storeDirectory,
  storeName,
  type TemporaryLauncher,
} from "../support/temporary-launcher.ts";

const limited = (limits: Partial<JailSpec["limits"]>): Partial<JailSpec> => ({
  outputs: [],
  limits: { ...noLimits, ...limits },
});

describe.for(await strengthsToTest())("in $strength strength", ({ strength, missing }) => {
  let here: TemporaryLauncher;
  beforeAll(async () => {
    if (missing === "") here = await makeTemporaryLauncher({ strength });
  });
  afterAll(() => here?.[Symbol.asyncDispose]());
  const run = async (spec: JailSpec, signal?: AbortSignal) => {
    const ran = await here.run(spec, {}, signal);
    await here.launcher.discard([], [ran.answer.view]);
    return ran;
  };
  const endingOf = async (spec: JailSpec, signal?: AbortSignal) => (await run(spec, signal)).answer.ending;

  test("an exit status is told, 127 too", async ({ skip }) => {
    skip(missing !== "", missing);
    for (const code of [0, 1, 42, 127, 255])
      expect(await endingOf(shellSpec(`exit ${code}`, { outputs: [] }))).toEqual({ kind: "exited", code });
  });

  test("a signal is told", async ({ skip }) => {
    skip(missing !== "", missing);
    const rlimits = [{ resource: "cpu" as const, soft: 1n, hard: 1n }];
    expect(await endingOf(shellSpec("while true; do true; done", limited({ rlimits })))).toEqual({
      kind: "signalled",
      signal: 9,
    });
  });

  test("the builder is process 1 of its jail, which cannot kill itself", async ({ skip }) => {
    skip(missing !== "", missing);
    const script = "(sleep 0.1; exit 7) & wait $!; kill -9 $$; kill -15 $$; exit $?";
    expect(await endingOf(shellSpec(script, { outputs: [] }))).toEqual({ kind: "exited", code: 0 });
  });

  /** What a failed jail leaves to close is looked up in its plan, which must still be there then. */
  test("builders that cannot be executed leave the launcher whole, and no descriptor open", async ({ skip }) => {
    skip(missing !== "", missing);
    const open = () => readdirSync(`/proc/${here.launcher.pid}/fd`).length;
    const fail = async () => {
      const ending = await endingOf({ ...shellSpec("", { outputs: [] }), builder: Buffer.from("/nowhere/builder") });
      expect(ending.kind).toBe("exec-failed");
    };
    for (let round = 0; round < 20; round += 1) await fail();
    const before = canReadDescriptors(here.launcher.pid) ? open() : undefined;
    for (let round = 0; round < 160; round += 1) await fail();
    // Jails and networks that wait hold some, now more and now fewer; of 160 leaks most would stay.
    if (before !== undefined) await expect.poll(open, { timeout: 30_000 }).toBeLessThan(before + 100);
    expect(await endingOf(shellSpec("exit 3", { outputs: [] }))).toEqual({ kind: "exited", code: 3 });
  });

  test("a builder that does not exist, or cannot be executed, is told apart from one that fails", async ({ skip }) => {
    skip(missing !== "", missing);
    const plain = storeName("5", "plain");
    writeFileSync(join(here.store, plain), "#!/nowhere/sh\n", { mode: 0o444 });
    const attempts = [
      ["/nowhere", "ENOENT"],
      [`${storeDirectory}/${plain}`, "EACCES"],
      [storeDirectory, "EACCES"],
    ] as const;
    for (const [path, errnoName] of attempts) {
      const spec = { ...shellSpec("", { inputs: [plain], outputs: [] }), builder: Buffer.from(path) };
      expect(await endingOf(spec)).toEqual(expect.objectContaining({ kind: "exec-failed", errnoName, path }));
    }
  });

  test("an input that is not in the store is a failed step that names it", async ({ skip }) => {
    skip(missing !== "", missing);
    const input = storeName("6", "missing");
    const ending = await endingOf(shellSpec("true", { inputs: [input], outputs: [] }));
    expect(ending).toEqual({ kind: "setup-failed", step: "find", errno: 2, errnoName: "ENOENT", path: input });
  });

  test("a limit that the kernel refuses is a failed step, and the jail does not run without it", async ({ skip }) => {
    skip(missing !== "", missing);
    const rlimits = [{ resource: "nofile" as const, soft: 100n, hard: 10n }];
    const { answer, log } = await run(shellSpec("echo ran", limited({ rlimits })));
    expect(answer.ending).toEqual(
      expect.objectContaining({ kind: "setup-failed", step: "set-limit", errnoName: "EINVAL" }),
    );
    expect(log).toBe("");
  });

  test("a build past its time is ended", async ({ skip }) => {
    skip(missing !== "", missing);
    const script = "trap '' 1 2 3 15; while true; do echo still here; sleep 0.05; done";
    expect(await endingOf(shellSpec(script, limited({ wallTimeMs: 300 })))).toEqual({ kind: "timed-out" });
  });

  test("a silent build is ended, one that speaks is not", async ({ skip }) => {
    skip(missing !== "", missing);
    expect(await endingOf(shellSpec("sleep 20", limited({ silenceMs: 300 })))).toEqual({ kind: "silent" });
    const talking = "for i in $(seq 8); do echo $i; sleep 0.1; done";
    expect(await endingOf(shellSpec(talking, limited({ silenceMs: 600 })))).toEqual({ kind: "exited", code: 0 });
  });

  test("a log is cut off at its limit, and the build ended", async ({ skip }) => {
    skip(missing !== "", missing);
    const { answer, log } = await run(shellSpec("yes", limited({ logBytes: 10_000 })));
    expect([answer.ending, log]).toEqual([{ kind: "log-limit" }, "y\n".repeat(5000)]);
    const exactly = await run(shellSpec("yes | head -n 5000", limited({ logBytes: 10_000 })));
    expect([exactly.answer.ending, exactly.log.length]).toEqual([{ kind: "exited", code: 0 }, 10_000]);
  });

  test("the log is complete, to the last of 100,000 lines", async ({ skip }) => {
    skip(missing !== "", missing);
    const { log } = await run(shellSpec("seq 100000; echo error >&2", { outputs: [] }));
    expect(log).toBe(`${Array.from({ length: 100_000 }, (_, index) => `${index + 1}\n`).join("")}error\n`);
  });

  test("a build can be cancelled while it runs, waits, or before it began", async ({ skip }) => {
    skip(missing !== "", missing);
    const running = new AbortController();
    const long = shellSpec("echo begun; sleep 20", { outputs: [] });
    const pieces: Uint8Array[] = [];
    const answers = [1, 2].map(() =>
      here.launcher.build(
        { spec: long, candidates: [], outputs: [] },
        { onLog: (bytes) => pieces.push(bytes) && pieces.length === 2 && running.abort(), signal: running.signal },
      ),
    );
    const waiting = endingOf(long, running.signal); // there are but two jobs
    for (const answer of await Promise.all(answers)) expect(answer.ending).toEqual({ kind: "cancelled" });
    expect(await waiting).toEqual({ kind: "cancelled" });
    expect(await endingOf(long, AbortSignal.abort())).toEqual({ kind: "cancelled" });
  });

  test("resources are told", async ({ skip }) => {
    skip(missing !== "", missing);
    const { answer } = await run(
      shellSpec("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 0.1", { outputs: [] }),
    );
    const { cpuUserMicroseconds, cpuSystemMicroseconds, maxResidentBytes, wallMicroseconds } = answer.resources;
    expect(cpuUserMicroseconds + cpuSystemMicroseconds).toBeGreaterThan(1000);
    expect(wallMicroseconds).toBeGreaterThan(100_000);
    expect(maxResidentBytes).toBeGreaterThan(100_000);
  });

  test("a wish that no jail can have is refused before anything is made", async ({ skip }) => {
    skip(missing !== "", missing);
    for (const [change, path] of [
      [{ inputs: ["../x"] }, "inputs.1"],
      [{ storeDirectory: "/a/../b" }, "storeDirectory"],
      [{ outputs: ["a/b"] }, "outputs.0"],
      [{ world: storeName("7", "w") }, "world"],
    ] as const) {
      const spec = shellSpec("true", { outputs: [], ...(change as Partial<JailSpec>) });
      await expect(here.run(spec)).rejects.toMatchObject({ code: "JAIL_SPEC_INVALID", details: { path } });
    }
    symlinkSync("nowhere", join(here.store, storeName("7", "w")));
  });
});

/** Of a launcher with subordinate ids, only root's /proc shows them. */
function canReadDescriptors(pid: number): boolean {
  try {
    readdirSync(`/proc/${pid}/fd`);
    return true;
  } catch {
    return false;
  }
}
