/** `cloister build` and what looks at its results, as a person and a program see them. */
import { execFileSync } from "node:child_process";
import { existsSync, lstatSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CommandLine, missingJails } from "../support/command-line.ts";

describe.skipIf(missingJails !== "")(`builds on the command line${missingJails && `: ${missingJails}`}`, () => {
  const cli = new CommandLine();
  const linkOf = (name: string) => readlinkSync(join(cli.cwd, name));
  beforeAll(async () => {
    cli.define("greeting", "mkdir $out; echo good day > $out/text; echo made");
    cli.define("pair", "mkdir $out $dev; echo $out > $dev/out", 'outputs: ["out", "dev"],');
    cli.define("fails", String.raw`echo first; printf '\033]0;title\007\033[2J\033[31mred\033[0m\rover\n'; exit 3`);
    cli.define("random", "mkdir $out; echo same > $out/same; cat /proc/sys/kernel/random/uuid > $out/other");
    cli.write(
      "several.ts",
      `import { derivation, hostWorld } from "cloister";
const world = hostWorld(["bash", "mkdir", "cat", "sleep", "ln", "rm", "ls"]);
export const bad = derivation({ name: "bad-1.0", world, script: "echo no luck; exit 7" });
export const needs = derivation({ name: "needs-1.0", world, inputs: { bad }, script: "mkdir $out" });
export const good = derivation({ name: "good-1.0", world, script: "mkdir $out" });
`,
    );
  });
  afterAll(() => cli[Symbol.asyncDispose]());

  test("a first run says its plan, each start and end, then where the result is", async () => {
    const { status, stdout, stderr } = await cli.run(["build", "greeting.ts"]);
    expect(status, stderr).toBe(0);
    const lines = stderr.split("\n").filter((line) => !line.startsWith("making a world"));
    expect(lines).toEqual([
      "plan: 1 build (greeting-1.0)",
      "▸ building greeting-1.0",
      expect.stringMatching(/^✔ greeting-1\.0 built in [0-9.]+ m?s$/),
      `linked: ${cli.cwd}/result`,
      "",
    ]);
    expect(stdout).toBe(`${linkOf("result")}\n`);
    expect(readFileSync(join(cli.cwd, "result/text"), "utf8")).toBe("good day\n");
  });

  test("a second run says at once that all is there", async () => {
    await cli.run(["build", "greeting.ts"]);
    expect(await cli.run(["build", "greeting.ts"])).toMatchObject({
      status: 0,
      stdout: `${linkOf("result")}\n`,
      stderr: `nothing to build: all is there\nlinked: ${cli.cwd}/result\n`,
    });
  });

  test("with --seccomp-log the calls that a build was refused are named", async () => {
    cli.define("refused", "mkdir $out; mkdir -m 4755 $out/directory || true");
    const shown = await cli.run(["build", "refused.ts", "--seccomp-log"]);
    expect(shown.status, shown.stderr).toBe(0);
    expect(shown.stderr).toContain("refused system calls of refused-1.0:\n");
    expect(shown.stderr).toMatch(/\n {2}fchmod(?:at2?)? EPERM, \d+ times?\n/);

    cli.define("refused-too", "mkdir $out; mkdir -m 4755 $out/directory || true");
    const { stdout } = await cli.run(["build", "refused-too.ts", "--seccomp-log", "--json"]);
    const { stdout: log } = await cli.run(["log", "refused-too-1.0", "--record", "--json"]);
    const row = expect.objectContaining({ call: expect.stringMatching(/^fchmod(?:at2?)?$/), errno: "EPERM" });
    for (const text of [JSON.parse(stdout).results[0], JSON.parse(log).record])
      expect(text.refusedCalls).toContainEqual(row);
  });

  test("the second target's link has a number, another output's its id", async () => {
    const { status, stdout, stderr } = await cli.run(["build", "greeting.ts", "pair.ts", "-o", "linked"]);
    expect(status, stderr).toBe(0);
    expect(linkOf("linked")).toMatch(/-greeting-1\.0$/);
    expect(linkOf("linked-1")).toMatch(/-pair-1\.0$/);
    expect(linkOf("linked-1-dev")).toMatch(/-pair-1\.0-dev$/);
    expect(stdout).toBe(["linked", "linked-1", "linked-1-dev"].map((name) => `${linkOf(name)}\n`).join(""));
  });

  test("--no-link makes none; another link of the same name is replaced", async () => {
    await cli.run(["build", "pair.ts", "--no-link", "-o", "none"]);
    expect(existsSync(join(cli.cwd, "none"))).toBe(false);
    await cli.run(["build", "greeting.ts", "-o", "again"]);
    await cli.run(["build", "pair.ts", "-o", "again"]);
    expect(linkOf("again")).toMatch(/-pair-1\.0$/);
    expect(lstatSync(join(cli.cwd, "again-dev")).isSymbolicLink()).toBe(true);
  });

  test("a failure ends with its cause, the last log lines, and the commands to go on with", async () => {
    const { status, stdout, stderr } = await cli.run(["build", "fails.ts"]);
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    const end = stderr.slice(stderr.indexOf("\n\n") + 2).split("\n");
    expect(end).toEqual([
      "error: the builder of fails-1.0 ended with exit status 3 [BUILD_FAILED_EXIT]",
      "  last 2 lines of its log:",
      "  │ first",
      "  │ redover",
      expect.stringMatching(/^hint: Read the whole log with `cloister log [a-z0-9]+`$/),
      expect.stringMatching(/^ {2}its environment and inputs: cloister log [a-z0-9]+ --record$/),
      "",
    ]);
    const id = /cloister log (\S+) --record/.exec(stderr)?.[1] ?? "";
    expect((await cli.run(["log", id])).stdout).toBe("first\nredover\n");
    expect((await cli.run(["log", id, "--record"])).stdout).toContain("failed, exit status 3\n");
  });

  test("no escape sequence of a builder gets out raw: in a failure, with -L, in a log", async () => {
    for (const args of [
      ["build", "fails.ts"],
      ["build", "-L", "fails.ts"],
      ["log", "fails-1.0"],
    ]) {
      const plain = await cli.run(args);
      expect(plain.stdout + plain.stderr).toContain("redover");
      // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this is about
      expect(plain.stdout + plain.stderr).not.toMatch(/[\u0000-\u0008\u000b-\u001f]/);
      const coloured = await cli.run(args, { environment: { FORCE_COLOR: "1" } });
      // biome-ignore lint/suspicious/noControlCharactersInRegex: as above
      expect((coloured.stdout + coloured.stderr).replace(/\u001b\[[0-9;]*m/g, "")).not.toContain("\u001b");
      expect(coloured.stdout + coloured.stderr).toContain("\u001b[31mred");
    }
    const noColour = await cli.run(["build", "fails.ts"], { environment: { FORCE_COLOR: "1", NO_COLOR: "1" } });
    expect(noColour.stderr).not.toContain("\u001b");
    expect((await cli.run(["log", "fails-1.0", "--raw"])).stdout).toContain("\u001b]0;title\u0007");
  });

  test("-L shows the log while it runs, and not once more at the end", async () => {
    const { stderr } = await cli.run(["build", "-L", "fails.ts"]);
    expect(stderr.match(/first/g)).toHaveLength(1);
    expect(stderr).toContain("fails-1.0 │ first\n");
  });

  test("a log line that is longer than a screen is cut in a failure, and whole in the log", async () => {
    cli.define("wordy", "line=x; for i in 1 2 3 4 5 6 7 8 9 10 11 12; do line=$line$line; done; echo $line; exit 1");
    const { stderr } = await cli.run(["build", "wordy.ts"]);
    expect(stderr).toMatch(/│ x{400} … 3696 more\n/);
    expect((await cli.run(["log", "wordy-1.0"])).stdout).toContain("x".repeat(4096));
  });

  test("what a failure prevented is said once, after its cause; --keep-going builds the rest", async () => {
    const args = ["build", "several.ts#needs", "several.ts#good", "--no-link"];
    const { status, stdout, stderr } = await cli.run([...args, "--keep-going"]);
    expect(status).toBe(1);
    expect(stdout).toMatch(/^\S+-good-1\.0\n$/);
    expect(stderr.match(/^error: /gm)).toHaveLength(1);
    expect(stderr).toContain("error: the builder of bad-1.0 ended with exit status 7 [BUILD_FAILED_EXIT]\n");
    expect(stderr).toMatch(/│ no luck\nnot built because of it: needs-1\.0\nhint: /);

    const { results, exit } = await cli.json("build", [...args, "-k"]);
    expect(exit).toBe(1);
    expect(results.map(({ status: one, error }) => [one, error?.code])).toEqual([
      ["dependency-failed", "BUILD_DEPENDENCY_FAILED"],
      ["already-valid", undefined],
    ]);
  });

  test("--check says the same, or names the files that differ and the command that compares them", async () => {
    const same = await cli.run(["build", "greeting.ts", "--check"]);
    expect(same.status).toBe(0);
    expect(same.stderr).toContain("✔ built again in another jail: the same, bit for bit\n");
    const rounds = await cli.json("build", ["build", "greeting.ts", "--rounds", "3", "--no-link"]);
    expect(rounds.results).toMatchObject([{ status: "built", verdict: { finding: "same", rounds: 3 } }]);
    await cli.run(["build", "random.ts", "--no-link"]);
    const { status, stderr } = await cli.run(["build", "random.ts", "--check", "--no-link"]);
    expect(status).toBe(1);
    expect(stderr).toMatch(
      /what differs: \[BUILD_NOT_DETERMINISTIC\]\n {2}other: other contents from byte \d+ on, "\S+" and "\S+"\n/,
    );
    expect(stderr).toContain("it comes out differently when nothing is varied");
    const command = /to compare them: ((?:diff -r|diffoscope) \S+ \S+)\n/.exec(stderr)?.[1]?.split(" ") ?? [];
    expect(stderr).not.toMatch(/hint:.*\/cloister\/store\//); // where only builders find it
    expect(() => execFileSync(command[0] ?? "", command.slice(1), { stdio: "pipe" })).toThrow(
      expect.objectContaining({ status: 1, stdout: expect.objectContaining({ length: expect.any(Number) }) }),
    );
  });

  test("what cannot be a target is refused with what can", async () => {
    const missing = await cli.run(["build", "nothing.ts"]);
    expect(missing).toMatchObject({ status: 1, stdout: "" });
    expect(missing.stderr).toContain("[DEFINITION_NOT_FOUND]");
    const folder = await cli.run(["build", "."]);
    expect(folder.stderr).toMatch(/ is a folder, and has no cloister\.ts .* \[DEFINITION_FOLDER_EMPTY\]/);
    expect(folder.stderr).toContain("Name a definition in it: fails.ts or greeting.ts or");
    expect((await cli.run(["build", "several.ts"])).stderr).toContain("It has bad, good, needs");
    expect((await cli.run(["build", "several.ts#goood"])).stderr).toMatch(/Did you mean \S+several\.ts#good\?/);
  });

  test("path-info and log hold the record: command, environment, inputs, times, exit status, output hashes", async () => {
    const before = Date.now();
    cli.define("recorded", "echo said; mkdir $out", 'env: { GREETING: "good day" },');
    await cli.run(["build", "recorded.ts", "-o", "recorded"]);
    const { paths } = await cli.json("path-info", ["path-info", "recorded"]);
    const [info] = paths;
    const { record, log } = await cli.json("log", ["log", "recorded"]);
    expect(info?.record).toEqual(record);
    expect(log).toBe("said\n");
    expect(record).toMatchObject({ name: "recorded-1.0", status: "done", exitStatus: 0, drvPath: info?.deriver });
    expect(record.user).toEqual({ uid: process.getuid?.() });
    expect(record.command.slice(-1)).toEqual(["echo said; mkdir $out"]);
    expect(record.environment).toMatchObject({ GREETING: "good day", out: info?.path, HOME: "/homeless-shelter" });
    expect(record.inputs).toEqual([record.world]);
    expect(record.startedAtMs).toBeGreaterThanOrEqual(before);
    expect(record.stoppedAtMs).toBeGreaterThanOrEqual(record.startedAtMs);
    expect(record.outputs).toEqual({ out: { path: info?.path, narHash: info?.narHash, narSize: info?.narSize } });

    const shown = (await cli.run(["log", "recorded", "--record"])).stdout;
    for (const text of ["done, exit status 0", "echo said; mkdir $out", "GREETING=good day", `${record.world}`])
      expect(shown).toContain(text);
    const details = (await cli.run(["path-info", "recorded"])).stdout;
    for (const text of [info?.path, info?.realPath, info?.narHash, info?.deriver, record.id])
      expect(details).toContain(text);
  });

  test("a log is found by id, derivation, output path, result link and name; CLI_LOG_UNKNOWN else", async () => {
    await cli.run(["build", "greeting.ts", "-o", "named"]);
    const { record } = await cli.json("log", ["log", "greeting-1.0"]);
    const out = record.outputs.out?.path ?? "";
    for (const name of [record.id, record.drvPath, out, out.slice("/cloister/store/".length), "named", linkOf("named")])
      expect(await cli.run(["log", name]), name).toMatchObject({
        ...{ status: 0, stdout: "made\n" },
        stderr: expect.stringMatching(/^(?:the newest of several builds: greeting-1\.0 of .*\n)?$/),
      });
    const unknown = await cli.run(["log", "nobody"]);
    expect(unknown.status).toBe(1);
    expect(unknown.stderr).toContain("error: no build is recorded for nobody [CLI_LOG_UNKNOWN]");
  });

  test("a build that said nothing has an empty log, which is no error", async () => {
    await cli.run(["build", "pair.ts"]);
    const { status, stdout, stderr } = await cli.run(["log", "pair-1.0"]);
    expect({ status, stdout }).toEqual({ status: 0, stdout: "" });
    expect(stderr).toMatch(/^the build \w+ of pair-1\.0 \(done\) wrote nothing to its log\n$/);
  });

  test("ls and cat look into a store path", async () => {
    await cli.run(["build", "greeting.ts", "-o", "seen"]);
    expect((await cli.run(["cat", "seen/text"])).stdout).toBe("good day\n");
    expect((await cli.run(["ls", "seen", "-l"])).stdout).toMatch(/^- +9 text\n$/);
    expect(await cli.json("ls", ["ls", "seen"])).toMatchObject({ type: "directory", entries: { text: { size: 9 } } });
    expect((await cli.run(["ls", "seen/no"])).stderr).toContain(
      "seen/no cannot be read: there is no no in it, which holds text [CLI_FILE_UNREADABLE]",
    );
    expect((await cli.run(["cat", "seen/txt"])).stderr).toMatch(
      /-greeting-1\.0\/txt cannot be read: there is no txt in it, which holds text \[STORE_FILE_NOT_FOUND\]\nhint: `cloister ls -R \w+-greeting-1\.0`/,
    );
    expect((await cli.run(["cat", "seen"])).stderr).toContain("it is a directory, which holds text");
    expect((await cli.run(["cat", "seen/text/more"])).stderr).toContain("text is a file");
    expect((await cli.run(["ls", "/etc"])).stderr).toContain(
      "error: /etc is not in the store /cloister/store [CLI_PATH_UNKNOWN]",
    );
  });

  test("add and instantiate print what came into the store", async () => {
    cli.write("a file", "contents");
    const { status, stdout } = await cli.run(["add", "a file", "--name", "file"]);
    expect(status).toBe(0);
    const { added } = await cli.json("add", ["add", "a file", "--name", "file"]);
    expect(stdout).toBe(`${added[0]?.path}\n`);
    expect(readFileSync(added[0]?.realPath ?? "", "utf8")).toBe("contents");
    expect((await cli.run(["add", "a file"])).stderr).toContain("[STORE_PATH_NAME_INVALID]");
    const { derivations } = await cli.json("instantiate", ["instantiate", "greeting.ts"]);
    expect(derivations[0]?.path).toMatch(/-greeting-1\.0\.drv$/);
    expect((await cli.run(["build", derivations[0]?.path ?? "", "--no-link"])).stderr).toContain("all is there");
  });

  test("gc keeps what a link or a name keeps and says what; without them all goes", async () => {
    cli.define("kept", "mkdir $out; echo kept > $out/file");
    await cli.run(["build", "kept.ts", "-o", "kept"]);
    const target = linkOf("kept");
    const alive = await cli.run(["gc", "kept"]);
    expect(alive.status).toBe(1);
    expect(alive.stderr).toContain(`the root ${cli.cwd}/kept keeps it [GC_PATH_ALIVE]`);
    expect((await cli.run(["roots"])).stdout).toContain(`indirect  ${cli.cwd}/kept -> /cloister/store/`);

    await cli.json("roots add", ["roots", "add", "mine", "kept"]);
    rmSync(join(cli.cwd, "kept"));
    await cli.run(["gc"]);
    expect(existsSync(target)).toBe(true);
    expect((await cli.json("roots", ["roots"])).roots).toContainEqual(expect.objectContaining({ kind: "permanent" }));

    expect(await cli.json("roots remove", ["roots", "remove", "mine"])).toEqual({ exit: 0, removed: "mine" });
    const dry = await cli.json("gc", ["gc", "--dry-run"]);
    expect(existsSync(target)).toBe(true);
    expect((await cli.run(["gc", "--dry-run"])).stderr).toMatch(
      /^would delete \d+ paths?, some [\d.]+ (bytes|KiB|MiB); /m,
    );
    const { deleted } = await cli.json("gc", ["gc"]);
    expect(deleted.sort()).toEqual(dry.deleted.sort());
    expect(existsSync(target)).toBe(false);
    expect((await cli.run(["roots", "remove", "mine"])).stderr).toContain("[ROOT_NOT_FOUND]");
  });

  test("world show lists what a world takes and why; world make puts it into the store", async () => {
    const { files } = await cli.json("world show", ["world", "show", "bash"]);
    expect(files).toContainEqual(expect.objectContaining({ path: expect.stringMatching(/\/bash$/), kind: "file" }));
    const made = await cli.json("world make", ["world", "make", "bash"]);
    expect(existsSync(`${made.realPath}/usr`)).toBe(true);
    expect((await cli.run(["world", "show", "no-such-program"])).stderr).toContain("[WORLD_PROGRAM_MISSING]");
  });

  test("a reader that has gone ends nothing with a stack trace, and changes no exit status", async () => {
    const left = cli.start(["world", "show", "gcc", "bash", "base"]);
    left.child.stdout?.destroy();
    const { status, stderr } = await left.ended;
    expect(status).toBe(0);
    expect(stderr).not.toMatch(/EPIPE|Error/);
    const deaf = cli.start(["build", "greeting.ts", "-o", "unheard"]);
    deaf.child.stderr?.destroy();
    expect((await deaf.ended).status).toBe(0);
    expect(lstatSync(join(cli.cwd, "unheard")).isSymbolicLink()).toBe(true);
  });

  test("status and metrics show the daemon and its store", async () => {
    const { text } = await cli.json("metrics", ["metrics"]);
    expect(text).toContain("\ncloister_connections 1\n");
    expect((await cli.run(["metrics"])).stdout).toMatch(
      /^# HELP cloister_builds_total [\s\S]*\nprocess_start_time_seconds \d+\S*\n$/,
    );
    const status = await cli.json("status", ["status"]);
    expect(status.realStoreDirectory).toBe(join(cli.root, "cloister/store"));
    const { stdout } = await cli.run(["status"]);
    expect(stdout).toContain(`pid ${status.pid}`);
    expect(stdout).toContain(`/cloister/store in ${status.realStoreDirectory}`);
  });
});
