#!/usr/bin/env node
// The `cloister` command. Plain JavaScript: it must get as far as saying so under a Node that is too old.
import { continueUnderThisNode } from "../../sandbox-native/pinned-node.mjs";

if (await continueUnderThisNode(import.meta.url)) {
  const [command, ...rest] = process.argv.slice(2);
  // `cloister daemon` becomes `cloisterd`; with a verb, or when help is asked for, it is a command like the others.
  const isDaemon = command === "daemon" && (rest[0] ?? "-").startsWith("-") && !rest.some(isHelp);
  const { keepCompiledCode } = await import("../compiled-code.mjs");
  await keepCompiledCode();
  const { main } = isDaemon
    ? await import("../../dist/daemon/server/main.js")
    : await import("../../dist/daemon/cli/main.js");
  process.exitCode = await main(isDaemon ? rest : process.argv.slice(2));
}

function isHelp(argument) {
  return argument === "-h" || argument === "--help";
}
