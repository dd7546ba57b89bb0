// `npm run demo`: from a fresh clone to a built and running program, with no daemon set up and no root. Plain
// JavaScript for Node 18 and newer, since nothing is installed yet when it starts. Its store and its daemon are its
// own: it neither touches the user's store nor stops the user's daemon.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { basename, join, relative } from "node:path";
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
    const stopped = run(["daemon", "stop"], "pipe");
    if (stopped.status !== 0) console.error(stopped.stderr.trimEnd());
  }
}

function buildAndRun() {
  const built = run(["build", definition, "--no-link"], "inherit"); // what it does it says itself, on stderr
  if (built.status !== 0) {
    say("The build failed. What this machine grants:");
    run(["doctor"], "inherit", "inherit");
    return built.status || 1;
  }
  const output = built.stdout.trim();
  const program = join(output, "bin", "hello");

  say(`Running ${program}`);
  const ran = spawnSync(program, { stdio: ["ignore", "pipe", "inherit"], encoding: "utf8" });
  if (ran.error !== undefined || ran.status !== 0) {
    say(`It did not run: ${ran.error?.message ?? `exit status ${ran.status}, signal ${ran.signal}`}`);
    return 1;
  }
  say(ran.stdout.trimEnd().replace(/^/gm, "    "));

  say("Done: a derivation was made of the definition and sent with its sources to a daemon that was started for it,");
  say("built in a jail without network, and its output sealed in a store. The daemon is stopped again.");
  say(`  the output  ${output}`);
  say(`  its record  node daemon/cli/bin.js path-info --root ${shorten(root)} ${basename(output)}`);
  say("  go on with  README.md, and the other definitions in docs/examples");
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

function run(args, stderr, stdout = "pipe") {
  const environment = { ...process.env, CLOISTER_ROOT: root };
  // These would lead to another store, or to a daemon that the user has.
  for (const name of ["CLOISTER_SOCKET", "CLOISTER_STORE_DIR", "CLOISTER_STATE_DIR"]) delete environment[name];
  const options = { cwd: packageFolder, env: environment, stdio: ["ignore", stdout, stderr], encoding: "utf8" };
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
