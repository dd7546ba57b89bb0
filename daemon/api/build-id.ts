/**
 * The id of this very build of the program, the same for a client and a daemon that run from one folder. It is made
 * from the version and from when and how long the compiled files are, which is cheap and changes with each compilation.
 */
import { createHash } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export interface Program {
  /** The package's folder. */
  readonly folder: string;
  readonly version: string;
  readonly buildId: string;
}

/** Files that every compilation writes: the compiler's own notes (not in a packed package), and the native part. */
const witnesses = [
  "dist/.tsbuildinfo",
  "dist/daemon/server/main.js",
  "dist/daemon/client/client.js",
  "sandbox-native/build/Release/cloister.node",
];

let program: Program | undefined;

/** This program, as it was when this was first asked. */
export function thisProgram(): Program {
  program ??= readProgram(findPackageFolder());
  return program;
}

function readProgram(folder: string): Program {
  const { version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { version: string };
  const digest = createHash("sha256").update(version);
  for (const file of witnesses) {
    const stat = statSync(join(folder, file), { throwIfNoEntry: false });
    digest.update(`\0${file}:${stat?.size}:${stat?.mtimeMs}`);
  }
  return { folder, version, buildId: digest.digest("hex").slice(0, 16) };
}

/** Above this file, in the sources as well as in dist/. */
function findPackageFolder(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "package.json"))) folder = dirname(folder);
  return folder;
}
