// `npm run demo`: from a fresh clone to a built and running program, with no daemon set up and no root. Plain
// JavaScript for Node 18 and newer, since nothing is installed yet when it starts. Its store and its daemon are its
// own: it neither touches the user's store nor stops the user's daemon.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { join, relative } from "node:path";
import { describeMissingTools } from "../../sandbox-native/install.mjs";
import { packageFolder } from "../../sandbox-native/pinned-node.mjs";

const definition = "docs/examples/hello/hello.ts";
const root = join(process.env.XDG_DATA_HOME || join(homedir(), ".local", "share"), "cloister-demo");

process.exitCode = runDemo();

function runDemo() {
  const prepared = prepare();
  if (prepared !== 0) return prepared;

  mkdirSync(root, { recursive: true, mode: 0o755 });
  say(`Building ${definition}: a C program, compiled in a jail that sees its declared inputs and nothing else`);
  try {
    return buildAndRun();
  } finally {
    // Only the daemon of this store, which nobody else uses: the build started it.
    run(["daemon", "stop"], { stdio: ["ignore", "ignore", "inherit"] });
  }
}

function buildAndRun() {
  const built = run(["build", definition, "--no-link", "--json"], { stdio: ["ignore", "pipe", "inherit"] });
  if (built.status !== 0) {
    say("The build failed; `cloister doctor` tells what this machine lacks:");
    run(["doctor"], { stdio: ["ignore", "inherit", "inherit"] });
    return built.status || 1;
  }
  const { path, realPath } = JSON.parse(built.stdout).results[0].outputs.out;
  const program = join(realPath, "bin", "hello");

  say(`Running ${program}`);
  const ran = spawnSync(program, { stdio: ["ignore", "pipe", "inherit"], encoding: "utf8" });
  process.stdout.write(`${(ran.stdout ?? "").replace(/^/gm, "    ").trimEnd()}\n`);
  if (ran.error !== undefined || ran.status !== 0) {
    say(`The program did not run: ${ran.error?.message ?? `exit status ${ran.status}, signal ${ran.signal}`}`);
    return 1;
  }

  say("Done. What it did: made a derivation of the definition, sent it with its sources to a daemon that it started");
  say("for the occasion, built it in a jail without network, sealed the output in a store, and stopped the daemon.");
  say(`  the output   ${realPath}`);
  say(`  its name     ${path} (the same on every machine)`);
  say(`  its record   node daemon/cli/bin.js path-info --root ${shorten(root)} --json ${path}`);
  say("  next         README.md, and docs/examples for more definitions");
  return 0;
}

/** Installs and compiles what is missing or older than what it is made from. Returns an exit status. */
function prepare() {
  const missing = describeMissingTools();
  if (missing.length > 0) {
    for (const line of missing) console.error(line);
    return 1;
  }
  const isInstalled = isNewer("node_modules/.package-lock.json", "package-lock.json");
  say(
    isInstalled
      ? "Compiling what is not up to date"
      : "Installing the packages and compiling: about a minute the first time",
  );
  const prepared = isInstalled ? runQuietly(process.execPath, ["test/support/compile.mjs"]) : runQuietly(...npm("ci"));
  if (prepared.status === 0) return 0;
  console.error(`${prepared.stdout}${prepared.stderr}${prepared.error?.message ?? ""}`.trim());
  return prepared.status || 1;
}

function npm(...args) {
  const own = process.env.npm_execpath; // set when npm runs this, also where no npm is on PATH
  return own?.endsWith(".js") ? [process.execPath, [own, ...args]] : ["npm", args];
}

function runQuietly(file, args) {
  return spawnSync(file, args, { cwd: packageFolder, stdio: ["ignore", "pipe", "pipe"], encoding: "utf8" });
}

function run(args, { stdio }) {
  const environment = { ...process.env, CLOISTER_ROOT: root };
  // These would lead to another store, or to a daemon that the user has.
  for (const name of ["CLOISTER_SOCKET", "CLOISTER_STORE_DIR", "CLOISTER_STATE_DIR"]) delete environment[name];
  const options = { cwd: packageFolder, env: environment, stdio, encoding: "utf8" };
  return spawnSync(process.execPath, [join(packageFolder, "daemon/cli/bin.js"), ...args], options);
}

function isNewer(made, source) {
  const [a, b] = [made, source].map((name) => join(packageFolder, name));
  return existsSync(a) && statSync(a).mtimeMs >= statSync(b).mtimeMs;
}

function shorten(path) {
  return path.startsWith(`${homedir()}/`) ? `~/${relative(homedir(), path)}` : path;
}

function say(text) {
  console.log(text);
}
