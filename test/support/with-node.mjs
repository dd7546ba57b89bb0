// Runs a tool of node_modules (`vitest`) or a script of ours (`test/tidy/main.ts`) under the Node that the repository
// pins, whatever the machine's own is. usage: node test/support/with-node.mjs PROGRAM [ARGUMENT…]
import { existsSync, realpathSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { findPinnedNode, isNewEnough, packageFolder } from "../../sandbox-native/pinned-node.mjs";
import { runProgram } from "../../sandbox-native/run-program.mjs";

/** The pinned Node's program, else the running one if it will do, else undefined. */
export function findNode() {
  const pinned = findPinnedNode();
  if (pinned !== undefined) return join(pinned, "bin", "node");
  return isNewEnough(process.versions.node) ? process.execPath : undefined;
}

/** The environment in which `node` means that Node, for what the program starts in its turn. */
export function environmentWith(node) {
  return { ...process.env, PATH: [dirname(node), process.env.PATH].join(delimiter) };
}

if (realpathSync(process.argv[1]) === realpathSync(join(packageFolder, "test/support/with-node.mjs"))) {
  const [program, ...args] = process.argv.slice(2);
  const tool = join(packageFolder, "node_modules", ".bin", program);
  const script = existsSync(tool) ? realpathSync(tool) : join(packageFolder, program);
  const node = findNode();
  if (node === undefined)
    fail("the pinned Node is not installed and this one is older than 22.19: run npm ci (without --omit=optional)");
  else if (!existsSync(script)) fail(`${program} is not there: run npm ci`);
  else await runProgram(node, [script, ...args], { env: environmentWith(node) });
}

function fail(message) {
  console.error(message);
  process.exitCode = 1;
}
