#!/usr/bin/env node
// The `cloisterd` command. Plain JavaScript: it must get as far as saying so under a Node that is too old.
import { continueUnderThisNode } from "../../sandbox-native/pinned-node.mjs";

if (await continueUnderThisNode(import.meta.url)) {
  const { keepCompiledCode } = await import("../compiled-code.mjs");
  await keepCompiledCode();
  const { main } = await import("../../dist/daemon/server/main.js");
  process.exitCode = await main(process.argv.slice(2));
}
