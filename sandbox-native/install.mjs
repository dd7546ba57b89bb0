// Compiles the native part: the addon `build/Release/cloister.node` and the launcher `build/Release/cloister-launcher`.
// npm runs it at install, `npm run compile` again later; then only what changed is compiled. Plain JavaScript for
// Node 18 and newer: the Node that runs it may be older than the one that the addon is compiled for.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { findPinnedNode } from "./pinned-node.mjs";

const folder = dirname(fileURLToPath(import.meta.url));
const products = ["cloister.node", "cloister-launcher"].map((name) => join(folder, "build", "Release", name));
/** What the makefiles in `build/` were made from: while it stays the same, make alone is enough. */
const makefilesOf = join(folder, "build", ".made-from");

/** One line for each program that compiling needs and this machine lacks. */
export function describeMissingTools() {
  const packages = { "g++": "g++", make: "make", python3: "python3" };
  return Object.keys(packages)
    .filter((program) => !isOnPath(program))
    .map((program) => `cloister: ${program} is missing; install it with: apt-get install ${packages[program]}`);
}

/** Compiles what is not up to date. Returns undefined, or what went wrong as text for a person. */
export function compileNative() {
  const missing = describeMissingTools();
  if (missing.length > 0) return missing.join("\n");

  const nodeFolder = findNodeWithHeaders();
  const environment = environmentFor(nodeFolder);
  const madeFrom = describeInputs(nodeFolder);
  const upToDate = existsSync(makefilesOf) && readFileSync(makefilesOf, "utf8") === madeFrom;
  const result = upToDate
    ? runAlone("make", ["-s", "-C", join(folder, "build"), "-j2", "BUILDTYPE=Release"], environment)
    : configureAndBuild(environment);
  const failed = result.error !== undefined || result.status !== 0 || products.some((product) => !existsSync(product));
  if (failed)
    return `cloister: compiling the native part failed:\n${result.error?.message ?? `${result.stdout}${result.stderr}`}`;
  if (!upToDate) writeFileSync(makefilesOf, madeFrom);
  return undefined;
}

function configureAndBuild(environment) {
  const nodeGyp = findNodeGyp();
  if (nodeGyp === undefined)
    return { error: new Error("node-gyp was not found beside npm; reinstall npm, which brings it") };
  const args = [nodeGyp, "configure", "build", "--release", "--jobs", "2", "--loglevel", "error"];
  return runAlone(process.execPath, args, environment);
}

/** Two terminals may compile at the same moment, and make does not expect another one in its folder. */
function runAlone(file, args, environment) {
  mkdirSync(join(folder, "build"), { recursive: true });
  const command = isOnPath("flock") ? ["flock", join(folder, "build", ".lock"), file, ...args] : [file, ...args];
  return spawnSync(command[0], command.slice(1), { cwd: folder, env: environment, encoding: "utf8" });
}

/** The folder whose `include/node` the addon is compiled against; undefined lets node-gyp find headers as it is set up to. */
function findNodeWithHeaders() {
  const own = dirname(dirname(realpathSync(process.execPath)));
  return [findPinnedNode(), own].find(
    (candidate) => candidate && existsSync(join(candidate, "include", "node", "node_api.h")),
  );
}

/** npm hands its settings on in the environment, where they win over node-gyp's arguments: a machine's own nodedir too. */
function environmentFor(nodeFolder) {
  const environment = { ...process.env };
  if (nodeFolder !== undefined) {
    for (const name of Object.keys(environment)) if (/^npm_config_nodedir$/i.test(name)) delete environment[name];
    environment.npm_config_nodedir = nodeFolder;
  }
  // binding.gyp asks `node` for a path: the one that runs this.
  environment.PATH = [dirname(process.execPath), environment.PATH].join(delimiter);
  return environment;
}

/** npm names its own copy to the scripts that it runs; without npm it is looked for beside the npm of PATH. */
function findNodeGyp() {
  const npmPrograms = pathFolders()
    .map((directory) => join(directory, "npm"))
    .filter(existsSync);
  const nearby = npmPrograms.flatMap((program) => {
    const require = createRequire(realpathSync(program));
    try {
      return [require.resolve("node-gyp/bin/node-gyp.js")];
    } catch {
      return []; // this npm is packed in another way; perhaps the next one on PATH is not
    }
  });
  return [process.env.npm_config_node_gyp, ...nearby].find((candidate) => candidate && existsSync(candidate));
}

function describeInputs(nodeFolder) {
  const sources = listFiles(join(folder, "src")).filter((file) => file.endsWith(".cpp"));
  const gyp = createHash("sha256")
    .update(readFileSync(join(folder, "binding.gyp")))
    .digest("hex");
  return JSON.stringify({ folder, nodeFolder, node: process.version, gyp, sources });
}

function listFiles(directory) {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { withFileTypes: true })
    .flatMap((entry) => (entry.isDirectory() ? listFiles(join(directory, entry.name)) : [join(directory, entry.name)]))
    .sort();
}

function isOnPath(program) {
  return pathFolders().some((directory) => {
    try {
      accessSync(join(directory, program), constants.X_OK);
      return true;
    } catch {
      return false; // not here, or not to be run
    }
  });
}

function pathFolders() {
  return (process.env.PATH ?? "").split(delimiter).filter((directory) => directory !== "");
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const failure = compileNative();
  if (failure !== undefined) {
    console.error(failure);
    process.exitCode = 1;
  }
}
