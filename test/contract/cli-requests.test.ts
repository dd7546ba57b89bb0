/** Requests on the command line: detached, attached to, listed, cancelled; clients and daemons killed meanwhile. */
import { existsSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { CommandLine, missingJails } from "../support/command-line.ts";
import { findProcesses } from "../support/processes.ts";

describe.skipIf(missingJails !== "")(`requests on the command line${missingJails && `: ${missingJails}`}`, () => {
  let cli: CommandLine;
  /** In the builder's command line, to find its processes by. */
  let marker: string;
  beforeEach(() => {
    cli = new CommandLine();
    marker = `marker-${cli.folder.slice(-6)}`;
    cli.define("slow", `: ${marker}; echo begun; sleep 1000; mkdir $out`);
    cli.define("quick", "echo said; mkdir $out; echo good day > $out/text");
    cli.define("fails", "echo no luck; exit 3");
  });
  afterEach(() => cli[Symbol.asyncDispose]());

  const builders = () => findProcesses(marker);
  const until = async (isSo: () => boolean) => {
    while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 20));
  };
  const untilRunning = () => until(() => builders().length > 0);
  const untilNone = () => until(() => builders().length === 0);
  const detach = async (file: string) => (await cli.json("build --detach", ["build", "--detach", file])).request;

  test("--detach prints an id and ends; attach shows all of it, links the result, and ends as it ended", async () => {
    const detached = await cli.run(["build", "--detach", "quick.ts"]);
    expect(detached.status, detached.stderr).toBe(0);
    const id = detached.stdout.trim();
    expect(detached.stdout).toMatch(/^r-[0-9a-z]{12}\n$/);
    expect(detached.stderr).toContain(`cloister attach ${id}`);
    expect(existsSync(join(cli.cwd, "result"))).toBe(false);

    const attached = await cli.run(["attach", id, "--out-link", "linked"]);
    expect(attached).toMatchObject({ status: 0, stdout: `${readlinkSync(join(cli.cwd, "linked"))}\n` });
    expect(attached.stderr).toContain("plan: 1 build (quick-1.0)\n");
    expect(attached.stderr).toContain("quick-1.0 │ said\n");
    const again = await cli.json("build", ["attach", id]);
    expect(again).toMatchObject({ exit: 0, results: [{ status: "built" }] });

    const failed = await cli.run(["attach", await detach("fails.ts")]);
    expect(failed.status).toBe(1);
    expect(failed.stderr).toContain("[BUILD_FAILED_EXIT]");
  });

  test("Ctrl-C on attach only leaves; ps shows what runs and for whom; cancel ends it", async () => {
    const id = await detach("slow.ts");
    await untilRunning();
    const attached = cli.start(["attach", id]);
    await attached.untilSaid("slow-1.0 │ begun");
    attached.child.kill("SIGINT");
    const { status, stderr } = await attached.ended;
    expect(status).toBe(130);
    expect(stderr).toMatch(/\nleaving\nleft; the request goes on: `cloister cancel r-\S+` ends it\n$/);
    expect(builders()).not.toEqual([]);

    const { requests, builds } = await cli.json("ps", ["ps"]);
    expect(requests).toMatchObject([{ id, uid: process.getuid?.(), detached: true, clients: 0, total: 1, done: 0 }]);
    expect(builds).toMatchObject([{ name: "slow-1.0", state: "running", requests: [id] }]);
    const shown = await cli.run(["ps"]);
    expect(shown.stdout.split("\n")).toEqual([
      expect.stringMatching(new RegExp(`^${id} .*, process \\d+, for .*, 0 of 1 build done, detached$`)),
      expect.stringMatching(/^└─ slow-1\.0 {2}runs for .* [0-9a-z]{16}$/),
      "",
    ]);

    const [{ recordId = "" } = {}] = builds;
    const other = cli.start(["build", "slow.ts", "--no-link"]);
    await other.untilSaid("▸ building slow-1.0");
    const cancelled = await cli.json("cancel", ["cancel", id]);
    expect(cancelled).toMatchObject({ builds: [{ recordId, goesOn: true, wantedBy: [{ uid: process.getuid?.() }] }] });
    expect((await cli.run(["cancel", recordId])).stdout).toMatch(
      /^slow-1\.0 is cancelled; it was wanted by r-\S+ \(.*\)\n$/,
    );
    expect((await other.ended).status).toBe(1);
    await untilNone();
    expect((await cli.run(["ps"])).stderr).toBe("nothing runs, and nothing waits\n");
    expect((await cli.run(["cancel", id])).stdout).toBe(`nothing of ${id} was left to cancel\n`);
    expect((await cli.run(["cancel", "r-000000000000"])).stderr).toContain("[REQUEST_UNKNOWN]");
  });

  test.each(["cancel", "keep", "keep-if-shared"])(
    "a command that is killed with -9 under --on-disconnect %s",
    async (policy) => {
      const sharing = policy === "keep-if-shared" ? cli.start(["build", "slow.ts", "--no-link"]) : undefined;
      await sharing?.untilSaid("▸ building slow-1.0");
      const killed = cli.start(["build", "slow.ts", "--no-link", "--on-disconnect", policy]);
      await killed.untilSaid("▸ building slow-1.0");
      await untilRunning();
      killed.child.kill("SIGKILL");
      await killed.ended;
      if (policy === "cancel") return untilNone();
      const find = async () => (await cli.json("ps", ["ps"])).requests.find(({ detached }) => detached)?.id;
      await expect.poll(find, { timeout: 20_000 }).toBeTruthy();
      const id = (await find()) ?? "";
      expect(builders()).not.toEqual([]);
      if (sharing === undefined) {
        await cli.run(["cancel", id]);
      } else {
        sharing.child.kill("SIGKILL"); // the last one that wanted it
        await sharing.ended;
      }
      await untilNone();
      expect((await cli.run(["attach", id])).status).toBe(1);
    },
  );

  test("a daemon that is killed with -9: the next one takes the request up again, under the same id", async () => {
    const id = await detach("slow.ts");
    await untilRunning();
    const { pid } = await cli.json("status", ["status"]);
    process.kill(pid, "SIGKILL");
    await untilNone();
    const attached = cli.start(["attach", id]);
    await attached.untilSaid("slow-1.0 │ begun");
    await untilRunning();
    expect((await cli.json("ps", ["ps"])).requests).toMatchObject([{ id, detached: true, clients: 1 }]);
    expect((await cli.run(["cancel", id])).status).toBe(0);
    expect((await attached.ended).status).toBe(1);
  });
});
