// Which Node runs cloister's own programs. Plain JavaScript that Node 18 can load, because it is what a too old Node
// sees first: better-sqlite3 13 crashes on Node 20, so nothing native may be loaded before this has been asked.
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The package's own folder: of a checkout, or of an installed copy. */
export const packageFolder = dirname(dirname(fileURLToPath(import.meta.url)));

const oldest = [22, 19];

/** Whether a version such as "22.19.0" is one that cloister runs on. */
export function isNewEnough(version) {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major > oldest[0] || (major === oldest[0] && minor >= oldest[1]);
}

/**
 * The Node that a checkout pins for its own commands: its folder, with `bin/node` and the headers in `include/node`.
 * Undefined in an installed package, and where npm left optional dependencies out.
 */
export function findPinnedNode() {
  const folder = join(packageFolder, "node_modules", `node-linux-${process.arch}`);
  return existsSync(join(folder, "bin", "node")) ? folder : undefined;
}

/**
 * True when the running Node will do. Otherwise the program is run again under the pinned Node, or ends with one line
 * that says what is needed (exit status 2), and the caller has nothing more to do.
 */
export async function continueUnderThisNode(scriptUrl) {
  if (isNewEnough(process.versions.node)) return true;
  const pinned = findPinnedNode();
  if (pinned === undefined) {
    console.error(
      `cloister needs Node ${oldest.join(".")} or newer, this is ${process.versions.node} (${process.execPath}): install a newer Node, and put it first in PATH`,
    );
    process.exitCode = 2;
    return false;
  }
  const { runProgram } = await import("./run-program.mjs");
  await runProgram(join(pinned, "bin", "node"), [fileURLToPath(scriptUrl), ...process.argv.slice(2)]);
  return false;
}
