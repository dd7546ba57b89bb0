// Tries the compiled program under the Node that runs this (CI: the oldest and the newest that cloister supports): it
// shows its help, and builds the first example into a store of its own. usage: NODE test/support/smoke.mjs [BIN]
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { packageFolder } from "../../sandbox-native/pinned-node.mjs";

const bin = process.argv[2] ?? join(packageFolder, "daemon/cli/bin.js");
const root = mkdtempSync(join(tmpdir(), "cloister-smoke-"));
const environment = { ...process.env, CLOISTER_ROOT: root };

process.exitCode = trySmoke();
// As root, who alone may remove a sealed tree without changing its mode first.
if (process.getuid() === 0) rmSync(root, { recursive: true });

function trySmoke() {
  const help = run("--help");
  if (help.status !== 0 || !help.stdout.includes("build")) return fail("--help", help);
  const built = run("build", join(packageFolder, "docs/examples/hello/hello.ts"), "--no-link", "--json");
  const stopped = run("daemon", "stop");
  if (built.status !== 0) return fail("build", built);
  if (stopped.status !== 0) return fail("daemon stop", stopped);
  const hello = spawnSync(join(JSON.parse(built.stdout).results[0].outputs.out.realPath, "bin/hello"));
  if (hello.status !== 0) return fail("the program that was built", hello);
  console.log(`${process.version}: help, build and daemon stop work`);
  return 0;
}

function run(...args) {
  return spawnSync(process.execPath, [bin, ...args], { env: environment, encoding: "utf8" });
}

function fail(what, { status, signal, stdout, stderr }) {
  console.error(`${process.version}: ${what} ended with ${signal ?? status}\n${stdout}\n${stderr}`);
  return 1;
}
