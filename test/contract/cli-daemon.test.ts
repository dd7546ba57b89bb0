/** Commands and the daemon behind them: interrupted, raced, killed, stopped. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { CommandLine, missingJails } from "../support/command-line.ts";
import { findProcesses } from "../support/processes.ts";

describe.skipIf(missingJails !== "")(`a command and its daemon${missingJails && `: ${missingJails}`}`, () => {
  let cli: CommandLine;
  /** In the builder's command line, to find its processes by. */
  let marker: string;
  beforeEach(() => {
    cli = new CommandLine();
    marker = `marker-${cli.folder.slice(-6)}`;
    cli.define("slow", `: ${marker}; echo > unfinished; sleep 1000 & sleep 1000; mkdir $out`);
    cli.define("quick", "mkdir $out");
  });
  afterEach(() => cli[Symbol.asyncDispose]());

  const builders = () => findProcesses(marker);
  const untilNone = async (): Promise<void> => {
    while (builders().length > 0) await new Promise((resolve) => setTimeout(resolve, 20));
  };
  /** Files of builds; the directories that the launcher keeps ready are empty. */
  const leftovers = (): string[] =>
    readdirSync(join(cli.root, "cloister/var/cloister/builds"), { recursive: true, encoding: "utf8" }).filter((name) =>
      name.includes("unfinished"),
    );
  async function startSlow() {
    const running = cli.start(["build", "slow.ts"]);
    await running.untilSaid("▸ building slow-1.0");
    while (builders().length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    return running;
  }

  test("Ctrl-C cancels the build: no process, no output and no link is left, and the status is 130", async () => {
    const { child, ended } = await startSlow();
    const ownBuildDirectory = process.getuid?.() === 0; // another's may be shut to an ordinary user
    if (ownBuildDirectory) expect(leftovers()).toHaveLength(1);
    child.kill("SIGINT");
    const { status, stdout, stderr } = await ended;
    expect({ status, stdout }).toEqual({ status: 130, stdout: "" });
    expect(stderr).toContain("cancelling (Ctrl-C again to leave at once)\n");
    expect(stderr).toMatch(/interrupted: .*\n$/);
    expect(builders()).toEqual([]);
    if (ownBuildDirectory) expect(leftovers()).toEqual([]);
    expect(existsSync(join(cli.cwd, "result"))).toBe(false);
    expect((await cli.run(["build", "quick.ts"])).status).toBe(0);
    expect((await cli.json("log", ["log", "slow-1.0"])).record.status).toBe("cancelled");
  });

  test("the log of a build whose daemon was killed is there as far as it was read, and ends with a mark", async () => {
    cli.define("talks", `: ${marker}; echo said in time; sleep 1000; mkdir $out`);
    const { child, ended, untilSaid } = cli.start(["build", "talks.ts"]);
    await untilSaid("building talks-1.0");
    const logs = join(cli.root, "cloister/var/cloister/log/builds");
    const written = () => existsSync(logs) && readdirSync(logs, { recursive: true, encoding: "utf8" }).length > 1;
    while (!written()) await new Promise((resolve) => setTimeout(resolve, 20)); // within a second, by its own timer
    process.kill((await cli.json("status", ["status"])).pid, "SIGKILL");
    child.kill("SIGKILL");
    await ended;
    await untilNone();
    const { record, log } = await cli.json("log", ["log", "talks-1.0"]);
    expect(record).toMatchObject({ status: "failed", error: { code: "STORE_BUILD_INTERRUPTED" } });
    expect(record.logFile).toMatch(/^builds\/.+\.log$/);
    expect(log).toBe("said in time\n\n[cloister: the log ends here, because its daemon did]\n");
    expect((await cli.run(["log", "talks-1.0"])).stdout).toBe(log);
  });

  test("a second Ctrl-C leaves at once; the daemon still ends what nobody waits for", async () => {
    const { child, ended, untilSaid } = await startSlow();
    child.kill("SIGINT");
    await untilSaid("cancelling");
    child.kill("SIGINT");
    expect((await ended).status).toBe(130);
    await untilNone();
    expect((await cli.run(["build", "quick.ts"])).status).toBe(0);
  });

  test("a daemon that is killed while a command waits is an error that says so, and the next command works", async () => {
    const { ended } = await startSlow();
    const { pid } = await cli.json("status", ["status"]);
    process.kill(pid, "SIGKILL");
    const { status, stderr } = await ended;
    expect(status).toBe(1);
    expect(stderr).toMatch(/^error: .*\[DAEMON_GONE\]$/m);
    expect(stderr).toMatch(/^hint: ./m);
    expect((await cli.run(["build", "quick.ts"])).status).toBe(0);
    await untilNone();
    expect((await cli.json("status", ["status"])).pid).not.toBe(pid);
  });

  test("two commands that start at the same moment get one daemon", async () => {
    const both = await Promise.all([cli.json("status", ["status"]), cli.json("status", ["status"])]);
    expect(both[0].pid).toBe(both[1].pid);
  });

  test("two commands that ask for the same build share it", async () => {
    const [one, other] = await Promise.all([
      cli.run(["build", "quick.ts", "-o", "one"]),
      cli.run(["build", "quick.ts", "-o", "other"]),
    ]);
    expect([one.status, other.status], one.stderr + other.stderr).toEqual([0, 0]);
    expect(one.stdout).toBe(other.stdout);
  });

  test("`daemon stop` ends it, and `daemon` runs one in the foreground until it is told to end", async () => {
    await cli.run(["status"]);
    expect(findProcesses(cli.root)).not.toEqual([]);
    expect(await cli.run(["daemon", "stop"])).toMatchObject({ status: 0, stderr: "the daemon has ended\n" });
    expect(findProcesses(cli.root)).toEqual([]);

    const daemon = cli.start(["daemon"]);
    await daemon.untilSaid("listening");
    expect((await cli.json("status", ["status"])).pid).toBe(daemon.child.pid);
    expect(await cli.json("daemon stop", ["daemon", "stop"])).toEqual({ exit: 0, stopped: true });
    expect((await daemon.ended).status).toBe(0);
  });

  test("a root 200 bytes deep works", async () => {
    const root = join(cli.folder, "d".repeat(200 - cli.folder.length - 1));
    const environment = { CLOISTER_ROOT: root };
    const { status, stdout, stderr } = await cli.run(["build", "quick.ts"], { environment });
    expect(status, stderr).toBe(0);
    expect(stdout.startsWith(`${root}/cloister/store/`)).toBe(true);
    expect((await cli.run(["daemon", "stop"], { environment })).status).toBe(0);
  });
});
