/** Whose ids builds have: those of no other daemon, each once at a time, and what happens when none is left. */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { strengthsToTest } from "../support/granted-strengths.ts";
import { makeTemporaryLauncher, noLimits, shellSpec } from "../support/temporary-launcher.ts";

const startAndTell = fileURLToPath(new URL("../support/start-and-tell.ts", import.meta.url));

describe.for(await strengthsToTest())("in $strength strength", ({ strength, missing }) => {
  test("two daemons of one user never give builds the same id", async ({ skip }) => {
    skip(missing !== "", missing);
    skip(strength === "single", "needs more than one id");
    await using one = await makeTemporaryLauncher({ strength });
    await using other = await makeTemporaryLauncher({ strength });
    const used = await Promise.all(
      [one, other].map(async ({ run, launcher }) => {
        const uids: number[] = [];
        for (let count = 0; count < 20; ++count) {
          const { answer } = await run(shellSpec("true", { outputs: [] }));
          uids.push(answer.uid);
          await launcher.discard([], [answer.view]);
        }
        return new Set(uids);
      }),
    );
    expect(used.map(({ size }) => size)).toEqual([20, 20]);
    // Both map the same range, so their numbers can be compared.
    expect([...(used[0] ?? [])].filter((uid) => used[1]?.has(uid))).toEqual([]);
  });

  test("who takes all ids gets others no jail, and above all no weaker one", ({ skip }) => {
    skip(missing !== "", missing);
    skip(strength !== "root", "needs root strength, whose locks a mount namespace can have for itself");
    const lockAll = `
import fcntl, os, sys
os.mkdir("/run/cloister-uids", 0o700)
held = [os.open("/run/cloister-uids/%d" % block, os.O_RDWR | os.O_CREAT, 0o600) for block in range(1024)]
for lock in held: fcntl.flock(lock, fcntl.LOCK_EX)
if os.fork() == 0: os.execv(sys.argv[1], sys.argv[1:])
os.wait()`;
    const script = 'mount -t tmpfs none /run && exec python3 -c "$0" "$@"';
    const args = ["-m", "sh", "-c", script, lockAll, process.execPath, startAndTell, "auto"];
    expect(JSON.parse(execFileSync("unshare", args, { encoding: "utf8" }))).toMatchObject({
      code: "STRENGTH_UNAVAILABLE",
      details: { strength: "root", step: "lock-ids" },
    });
  });

  test("a build that finds all ids in use waits, says so, and gets one", async ({ skip }) => {
    skip(missing !== "", missing);
    skip(strength === "single", "needs more than one id");
    await using here = await makeTemporaryLauncher({ strength, maxJobs: 3, mostBuildUsers: 8 });
    // Of those eight, builds with a profile of their own have two.
    const spec = (script: string) =>
      shellSpec(script, { outputs: [], seccomp: { profile: "fetch" }, limits: noLimits });
    const cancel = new AbortController();
    const start = async (script: string, signal?: AbortSignal) => {
      const begun = Promise.withResolvers<string>();
      const order = { spec: spec(script), candidates: [], outputs: [] };
      const onLog = (bytes: Uint8Array) => begun.resolve(Buffer.from(bytes).toString());
      const ended = here.launcher.build(order, { onLog, ...(signal && { signal }) });
      return { ended, said: await begun.promise };
    };
    const first = await start("echo begun; sleep 100", cancel.signal);
    const second = await start("echo begun; sleep 100", cancel.signal);
    const third = await start("true");
    expect([first.said, second.said]).toEqual(["begun\n", "begun\n"]);
    expect(third.said).toBe("cloister: waits for a free build user: all 2 are in use\n");
    cancel.abort();
    const answers = await Promise.all([first, second, third].map(({ ended }) => ended));
    expect(answers.map(({ ending }) => ending)).toEqual([
      { kind: "cancelled" },
      { kind: "cancelled" },
      { kind: "exited", code: 0 },
    ]);
    await here.launcher.discard(
      [],
      answers.map(({ view }) => view),
    );
  });
});
