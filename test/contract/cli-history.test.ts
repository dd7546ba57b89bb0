/** What a person asks of past and running builds: `history`, `log` where several fit, `status`. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CommandLine, missingJails } from "../support/command-line.ts";

describe.skipIf(missingJails !== "")(`past builds on the command line${missingJails && `: ${missingJails}`}`, () => {
  const cli = new CommandLine();
  beforeAll(async () => {
    cli.define("fine", "mkdir $out; echo fine");
    cli.define("broken", "echo no luck; exit 3");
    await cli.run(["build", "fine.ts", "--no-link"]);
    for (let times = 0; times < 3; times += 1) await cli.run(["build", "broken.ts", "--no-link"]);
  });
  afterAll(() => cli[Symbol.asyncDispose]());

  const lines = async (...args: string[]) => {
    const { status, stdout, stderr } = await cli.run(["history", ...args]);
    expect(status, stderr).toBe(0);
    return stdout.split("\n").filter((line) => line !== "");
  };

  test("history lists builds, newest first, with how they ended, when, how long, and how much memory", async () => {
    const all = await lines();
    expect(all).toHaveLength(4);
    expect(all[0]).toMatch(
      /^✘ {2}\d{4}-\d\d-\d\d \d\d:\d\d:\d\d {2}broken-1\.0 {2} +[0-9.]+ m?s {2}.*uid \d+ [a-z0-9]{16}$/,
    );
    expect(all[3]).toMatch(/^✔ .* fine-1\.0 /);
    expect(all[3]).toMatch(/[0-9.]+ [KMG]iB/);
  });

  test("history is narrowed by name, state, user and time, and says when there is more", async () => {
    expect(await lines("fine")).toHaveLength(1);
    expect(await lines("--status", "failed")).toHaveLength(3);
    expect(await lines("--status", "done")).toHaveLength(1);
    expect(await lines("--user", String(process.getuid?.()))).toHaveLength(4);
    expect(await lines("--user", "4000000")).toEqual([]);
    expect(await lines("--since", "1h")).toHaveLength(4);
    expect(await lines("--until", "1h")).toEqual([]);
    const { stdout, stderr } = await cli.run(["history", "--limit", "2"]);
    expect(stdout.split("\n")).toHaveLength(3);
    expect(stderr).toBe("there are older ones: --limit 10 shows more\n");
    const json = await cli.json("history", ["history", "--status", "failed", "-n", "2"]);
    expect(json).toMatchObject({ exit: 0, more: true });
    expect(json.records.map(({ name, status }) => [name, status])).toEqual([
      ["broken-1.0", "failed"],
      ["broken-1.0", "failed"],
    ]);
  });

  test("a time or a user that cannot be is refused", async () => {
    const time = await cli.run(["history", "--since", "soon"]);
    expect([time.status, time.stderr]).toEqual([2, expect.stringContaining("[CLI_TIME_INVALID]")]);
    const user = await cli.run(["history", "--user", "no-such-user"]);
    expect([user.status, user.stderr]).toEqual([1, expect.stringContaining("[CLI_USER_UNKNOWN]")]);
  });

  test("of several builds that fit, log shows the newest and says so", async () => {
    const several = await cli.run(["log", "broken"]);
    expect(several.stdout).toBe("no luck\n");
    expect(several.stderr).toMatch(
      /^the newest of several builds: broken-1\.0 of .*; `cloister history broken` lists them\n$/,
    );
    const newest = (await lines("broken"))[0]?.split(" ").at(-1) ?? "";
    expect(several.stderr).toContain(newest);
    expect((await cli.run(["log", newest])).stderr).toBe("");
  });

  test("status says how much there is, and which limits hold", async () => {
    const { sizes, limits } = await cli.json("status", ["status"]);
    expect(sizes?.storeBytes).toBeGreaterThan(1000);
    expect(sizes?.databaseBytes).toBeGreaterThan(1000);
    expect(sizes?.logBytes).toBeGreaterThan(0);
    expect(sizes?.freeBytes).toBeGreaterThan(0);
    expect(limits).toEqual(expect.any(Object));
    const { stdout } = await cli.run(["status"]);
    expect(stdout).toMatch(
      /^sizes {6}[0-9.]+ \w+ of paths, [0-9.]+ \w+ of databases, [0-9.]+ \w+ of logs; [0-9.]+ \w+ free$/m,
    );
    expect(stdout).toMatch(/^limits {5}\S/m);
  });

  test("forty failures are one screen: the first three, the others' names, and the command that lists them", async () => {
    cli.write(
      "many.ts",
      `import { derivation, hostWorld } from "cloister";
const world = hostWorld(["bash", "mkdir", "cat", "sleep", "ln", "rm", "ls"]);
const parts = Object.fromEntries(Array.from({ length: 40 }, (_, index) =>
  ["p" + index, derivation({ name: "part-" + index, world, script: "echo one; echo two; echo three; exit 1" })]));
export default derivation({ name: "whole", world, inputs: parts, script: "mkdir $out" });
`,
    );
    const { status, stderr } = await cli.run(["build", "many.ts", "--no-link", "-k"]);
    expect(status).toBe(1);
    const end = stderr.slice(stderr.indexOf("\nerror: ") + 1);
    expect(end.split("\n").length).toBeLessThanOrEqual(24);
    expect(end).toMatch(/^error: 40 of 41 builds failed; the first 3:\n/);
    expect(end.match(/\[BUILD_FAILED_EXIT\]/g)).toHaveLength(3);
    expect(end).toMatch(/\n37 more failed: part-\d+, .*, and \d+ more\n/);
    expect(end).toContain("not built because of these: 1 build (whole)\n");
    expect(end).toContain("all that failed: cloister history --status failed --limit 40\n");
  });
});
