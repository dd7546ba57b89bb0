/** What the command line says to those who do not know it yet, or mistype. Nothing here needs a daemon or a jail. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { afterAll, describe, expect, test } from "vitest";
import { makeProgram } from "../../daemon/cli/main.ts";
import { CommandLine } from "../support/command-line.ts";

const cli = new CommandLine();
afterAll(() => cli[Symbol.asyncDispose]());

function names(command: Command, before: readonly string[] = []): string[][] {
  return command.commands
    .filter((child) => child.name() !== "help")
    .flatMap((child) => {
      const name = [...before, child.name()];
      return [name, ...names(child, name)];
    });
}

describe("help", () => {
  test.each(names(makeProgram(async () => {})).map((name) => [name.join(" "), name] as const))(
    "of %s has an example of it",
    async (text, name) => {
      const { status, stdout, stderr } = await cli.run([...name, "--help"]);
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
      expect(stdout).toMatch(new RegExp(`Example:\\n( {2}.*\\n)*? {2}\\$ cloister ${text}`));
      expect(stdout).toContain("--json");
    },
  );

  test("comes without a command too, and by `help COMMAND`", async () => {
    const all = await cli.run([]);
    expect(all.status).toBe(0);
    expect(all.stdout).toContain(
      "Exit status: 0 done, 1 the build or operation failed, 2 wrong usage, 130 interrupted.",
    );
    expect((await cli.run(["help", "gc"])).stdout).toContain("Usage: cloister gc");
  });
});

describe("wrong usage ends with status 2, the code, and what was meant", () => {
  test.each([
    ["a mistyped command", ["biuld", "x.ts"], "unknown command 'biuld'", "Did you mean build?"],
    ["a mistyped option", ["build", "--ceck", "x.ts"], "unknown option '--ceck'", "Did you mean --check?"],
    ["a mistyped global option", ["--jsn", "status"], "unknown option '--jsn'", "Did you mean --json?"],
    ["a mistyped verb", ["world", "shwo", "gcc"], "unknown command 'shwo'", "Did you mean show?"],
    ["a mistyped verb of roots", ["roots", "ad", "x", "y"], "unknown command 'ad'", "Did you mean add?"],
    ["a mistyped verb of daemon", ["daemon", "stpo"], "unknown command 'stpo'", "Did you mean stop?"],
    ["no target", ["build"], "missing required argument 'target'", "`cloister build --help`"],
    ["a word too many", ["status", "now"], "too many arguments for 'status'", "`cloister status --help`"],
    ["an unknown strength", ["--strength", "weak", "status"], "Allowed choices are auto, range", "--help"],
    ["options before daemon", ["--root", "/x", "daemon"], "come after the word daemon", "`cloisterd --help`"],
    ["--name for two files", ["add", "a", "b", "--name", "c"], "--name goes with one path only", "--help"],
  ])("%s", async (_what, args, problem, hint) => {
    const { status, stdout, stderr } = await cli.run(args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    const [error, advice, ...rest] = stderr.trimEnd().split("\n");
    expect(error).toMatch(/^error: .* \[CLI_USAGE\]$/);
    expect(error).toContain(problem);
    expect(advice).toMatch(/^hint: /);
    expect(advice).toContain(hint);
    expect(rest).toEqual([]);
  });

  test.each([
    ["CLI_NUMBER_INVALID", ["build", "--cores", "many", "x.ts"], '--cores takes a whole number, not "many"'],
    ["CLI_SIZE_INVALID", ["gc", "--max-freed", "1 X"], '--max-freed takes a size, not "1 X"'],
  ])("%s", async (code, args, problem) => {
    const { status, stderr } = await cli.run(args);
    expect(status).toBe(2);
    expect(stderr).toContain(`error: ${problem} [${code}]`);
  });

  test("--json: the same as data", async () => {
    const { error, exit } = await cli.json("error", ["build", "--ceck", "x.ts"]);
    expect(exit).toBe(2);
    expect(error).toMatchObject({ code: "CLI_USAGE", details: { command: "cloister build", guess: "--check" } });
  });
});

describe("before a daemon is started for nothing", () => {
  test("CLI_OUT_LINK_OCCUPIED: what is in the place of the result link stays", async () => {
    mkdirSync(join(cli.cwd, "taken"));
    const { status, stderr } = await cli.run(["build", "x.ts", "-o", "taken"]);
    expect(status).toBe(1);
    expect(stderr).toContain(`error: ${cli.cwd}/taken exists and is not a symbolic link`);
    expect(stderr).toContain("[CLI_OUT_LINK_OCCUPIED]");
    expect(stderr).toContain("--no-link");
  });

  test("CLI_OUT_LINK_FAILED: there is no place for it", async () => {
    const { status, stderr } = await cli.run(["build", "x.ts", "-o", "no/where"]);
    expect(status).toBe(1);
    expect(stderr).toContain(`there is no directory ${cli.cwd}/no [CLI_OUT_LINK_FAILED]`);
  });

  test("CLI_FILE_UNREADABLE: what is to be added is not there", async () => {
    const { status, stderr } = await cli.run(["add", "nothing"]);
    expect(status).toBe(1);
    expect(stderr).toContain(`error: ${cli.cwd}/nothing cannot be read: there is no such file [CLI_FILE_UNREADABLE]`);
  });

  test("`daemon stop` where none runs says so and starts none", async () => {
    expect(await cli.run(["daemon", "stop"])).toMatchObject({
      status: 0,
      stdout: "",
      stderr: "no daemon runs for this store\n",
    });
    expect(await cli.json("daemon stop", ["daemon", "stop"])).toEqual({ exit: 0, stopped: false });
  });

  test("a root in which nothing can be made is an error, not a wait", async () => {
    const { status, stderr } = await cli.run(["--root", "/proc/nowhere", "status"]);
    expect(status).toBe(1);
    expect(stderr).toContain("[DAEMON_START_FAILED]");
  });
});

test("doctor tells what this machine grants, and what mends the rest", async () => {
  const { lines, strengths, exit } = await cli.json("doctor", ["doctor"]);
  const { status, stdout } = await cli.run(["doctor"]);
  expect(status).toBe(exit);
  expect(status).toBe(Object.values(strengths).some(({ ok }) => ok) ? 0 : 1);
  for (const name of ["range strength", "root strength", "single strength", "kernel", "user namespaces", "open files"])
    if (lines.some((line) => line.name === name)) expect(stdout).toMatch(new RegExp(`^[✔!✘] ${name}: .`, "m"));
  const mends = lines.filter((line) => line.ok !== true && line.remedy !== undefined);
  for (const { remedy } of mends) expect(stdout).toContain(`    to mend it: ${remedy}`);
  expect(lines.length).toBeGreaterThan(5);
});

test("the version is the package's", async () => {
  const { stdout } = await cli.run(["--version"]);
  const { version } = await import("../../package.json", { with: { type: "json" } }).then((module) => module.default);
  expect(stdout).toBe(`${version}\n`);
});
