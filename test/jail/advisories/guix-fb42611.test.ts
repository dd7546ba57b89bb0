/**
 * Guix fb42611: the repairs of CVE-2024-27297 looked at outputs of builds that succeed. One that fails had handed its
 * writable descriptor out all the same, and with it a program to execute.
 */
import { once } from "node:events";
import { out, storeDirectory } from "../../support/temporary-launcher.ts";
import { describeBothWays } from "./both-ways.ts";

describeBothWays({
  id: "guix-fb42611",
  mechanism: "a build that fails hands a writable descriptor to a process outside, which executes what it got",
  without: ["own_network"],
  async attack(bench) {
    const socket = `cloister-fb42611-${process.pid}-${Math.random()}`;
    const receiver = bench.startOutside("pass-descriptor", ["execute", socket], "own");
    await once(receiver.process.stdout ?? receiver.process, "data");
    const args = ["send", socket, `${storeDirectory}/${out}`, "1"];
    const { answer } = await bench.build(bench.spec("pass-descriptor", args));
    await bench.discard(answer);
    const said = await receiver.output;
    return said.includes("received") ? said : undefined;
  },
});
