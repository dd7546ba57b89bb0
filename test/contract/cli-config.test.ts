/** The daemon's configuration as the command line shows it and has it read again, over a real daemon and its real files. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { auditFileOf } from "../../daemon/api/socket-place.ts";
import { CommandLine, missingJails } from "../support/command-line.ts";

let cli: CommandLine;
beforeEach(({ skip }) => {
  skip(missingJails !== "", missingJails);
  cli = new CommandLine();
});
afterEach(() => cli[Symbol.asyncDispose]());

function configure(text: string): string {
  const file = join(cli.folder, ".config", "cloister", "cloister.toml");
  mkdirSync(join(cli.folder, ".config", "cloister"), { recursive: true });
  writeFileSync(file, text);
  return file;
}

async function settingsNow(args: readonly string[] = []) {
  const { running, settings } = await cli.json("config", ["config", ...args]);
  return { running, settings: new Map(settings.map((setting) => [setting.name, setting])) };
}

test("`config` tells each setting and where it comes from, of a daemon that would start and of one that runs", async () => {
  const file = configure('maxConnections = 50\n\n[limits]\nmemory = "1G"\n');
  const { status, stdout, stderr } = await cli.run(["config"], { environment: { CLOISTER_CORES: "1" } });
  expect({ status, stderr }).toEqual({ status: 0, stderr: expect.stringContaining("no daemon runs") });
  expect(stdout).toMatch(new RegExp(`^maxConnections = 50 +# ${file}:1$`, "m"));
  expect(stdout).toMatch(new RegExp(`^limits.memory = 1073741824 +# ${file}:4$`, "m"));
  expect(stdout).toMatch(/^cores = 1 +# CLOISTER_CORES$/m);
  expect(stdout).toMatch(/^root = ".*" +# CLOISTER_ROOT$/m);
  expect(stdout).toMatch(/^drain = 60 +# default$/m);
  expect(stdout).toMatch(/^# user +# default$/m);

  await cli.run(["status"]);
  const { running, settings } = await settingsNow();
  expect(running).toBe(true);
  expect(settings.get("maxConnections")).toEqual({
    ...{ name: "maxConnections", value: 50, reloadable: true, source: { kind: "file", file, line: 1 } },
  });
  expect(settings.get("root")).toMatchObject({ value: cli.root, source: { kind: "flag", name: "--root" } });
  expect([...(await settingsNow(["--set"])).settings.keys()]).toEqual([
    "root",
    "socket",
    "maxConnections",
    "limits.memory",
  ]);
});

test("`reload` and SIGHUP apply what can change, say what cannot, and drop no build", async () => {
  configure("maxJobs = 2\nmaxConnections = 50\n");
  cli.define("waits", "while :; do sleep 1; done");
  await cli.run(["status"]);
  const building = cli.start(["build", "waits.ts"]);
  const patience = { timeout: 150_000 };
  const runs = expect.poll(async () => (await cli.json("status", ["status"])).runningBuilds, patience).toBe(1);
  const early = building.ended.then(({ stderr }) => Promise.reject(new Error(`the build ended: ${stderr}`)));
  await Promise.race([runs, early]);
  early.catch(() => {}); // later it may
  const { pid } = await cli.json("status", ["status"]);

  const file = configure("maxJobs = 1\nmaxConnections = 60\n\n[limits]\nsilence = 99\n");
  expect(await cli.json("reload", ["reload"])).toEqual({
    ...{ exit: 0, running: true, applied: ["maxConnections", "limits.silence"], needRestart: ["maxJobs"] },
  });
  let { settings } = await settingsNow();
  expect(settings.get("maxConnections")).toMatchObject({ value: 60 });
  expect(settings.get("maxJobs")).toMatchObject({ value: 2 });
  expect(settings.get("limits.silence")).toMatchObject({ value: 99, source: { file, line: 5 } });

  configure("maxJobs = 2\nmaxConnections = 70\n");
  process.kill(pid, "SIGHUP");
  await expect
    .poll(async () => {
      ({ settings } = await settingsNow());
      return settings.get("maxConnections")?.value;
    }, patience)
    .toBe(70);
  expect(settings.get("limits.silence")).toEqual({
    name: "limits.silence",
    reloadable: true,
    source: { kind: "default" },
  });

  expect(await cli.json("status", ["status"])).toMatchObject({ pid, runningBuilds: 1 });
  expect((await cli.run(["reload"])).stderr).toBe("nothing changed\n");
  building.child.kill("SIGINT");
  expect((await building.ended).status).toBe(130);
});

test("a file with a mistake changes nothing, and `reload` says where it is", async () => {
  configure("maxConnections = 50\n");
  await cli.run(["status"]);
  const file = configure("maxConnections = 60\nmaxJob = 3\n");
  const { status, stderr } = await cli.run(["reload"]);
  expect(status).toBe(1);
  expect(stderr).toContain(`${file}:2: there is no setting "maxJob"; did you mean maxJobs?`);
  expect(stderr).toContain("[CONFIG_FILE_INVALID]");
  expect((await settingsNow()).settings.get("maxConnections")).toMatchObject({ value: 50 });
});

test("limits of the file hold for builds, and a new limit for those that begin after it was read", async () => {
  configure("[limits]\nlogSize = 1000\n");
  const loud =
    "i=0; while [ $i -lt 100 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done; echo > $out";
  cli.define("loud", loud);
  cli.define("louder", `${loud} # again`);
  expect(await cli.run(["build", "loud.ts"])).toMatchObject({
    ...{ status: 1, stderr: expect.stringContaining("BUILD_LOG_TOO_LONG") },
  });
  configure("");
  expect(await cli.json("reload", ["reload"])).toMatchObject({ applied: ["limits.logSize"] });
  expect((await cli.run(["build", "louder.ts"])).status).toBe(0);
});

test("client and daemon agree on a store whose place the file says", async () => {
  const root = join(cli.folder, "elsewhere");
  configure(`root = ${JSON.stringify(root)}\nstoreDir = "/other/store"\nsocket = "/nowhere/socket"\n`);
  const environment = { CLOISTER_ROOT: "" };
  const { status, stdout, stderr } = await cli.run(["status"], { environment });
  expect(status, stderr).toBe(0);
  expect(stdout).toContain(`/other/store in ${root}/other/store`);
  expect((await cli.run(["config", "--set"], { environment })).stdout).toMatch(
    new RegExp(`^root = "${root}" +# --root$[^]*^storeDir = "/other/store" +# --store-dir$`, "m"),
  );
  const stopped = await cli.run(["daemon", "stop"], { environment });
  expect(stopped).toMatchObject({ status: 0, stderr: "the daemon has ended\n" });
  expect((await cli.run(["config", "--set"], { environment })).stdout).toMatch(/^root = .* # .*cloister.toml:1$/m);
});

test("a mistake in the file is told by the daemon's start, with its place", async () => {
  const file = configure("storeDir = [\n");
  const { status, stderr } = await cli.run(["status"]);
  expect(status).toBe(1);
  expect(stderr).toContain("[DAEMON_START_FAILED]");
  expect(stderr).toContain(`${file}:2:`);
});

test("the audit log has what only trusted users may do", async () => {
  await cli.run(["status"]);
  await cli.run(["reload"]);
  await cli.run(["daemon", "stop"]);
  const lines = readFileSync(auditFileOf({ root: cli.root }), "utf8")
    .trimEnd()
    .split("\n");
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    { outcome: "allowed", operation: "reload", uid: process.getuid?.() },
    { outcome: "allowed", operation: "shutdown", details: { drainMs: 30_000 } },
  ]);
});
