#!/usr/bin/env node
// The `cloister` command. Plain JavaScript: it must get as far as saying so under a Node that is too old.
import { continueUnderThisNode } from "../../sandbox-native/pinned-node.mjs";

if (await continueUnderThisNode(import.meta.url)) {
  const { main } = await import("../../dist/daemon/cli/main.js");
  process.exitCode = await main(process.argv.slice(2));
}
