/** `npm run load -- --runs 1000 --clients 100 --seed 7`: clients of all kinds on one daemon, and what must hold. */
import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import type { Held } from "../support/held-by-daemon.ts";
import { load } from "./load.ts";

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "1000" },
    clients: { type: "string", default: "100" },
    seed: { type: "string" },
  },
});
const seed = values.seed === undefined ? randomInt(2 ** 31) : Number(values.seed);
const runs = Number(values.runs);
process.stdout.write(`seed ${seed}, ${runs} runs of ${values.clients} clients\n`);
const { seconds, behaved, problems, held, daemonKiB, restingKiB } = await load({
  ...{ runs, clients: Number(values.clients), seed },
  restMs: 45_000,
  onRun: (run, found) => {
    for (const problem of found) process.stdout.write(`run ${run}: ${problem}\n`);
  },
});
process.stdout.write(`${seconds.toFixed(1)} s\n`);
for (const [name, count] of Object.entries(behaved)) process.stdout.write(`${name}: ${count}\n`);
for (const name of Object.keys(held.before) as (keyof Held)[])
  process.stdout.write(`${name}: ${held.before[name]} before, ${held.after[name]} after\n`);
process.stdout.write(`KiB of the daemon in each tenth: ${daemonKiB.join(" ")}\n`);
process.stdout.write(`KiB of the daemon at rest: ${restingKiB}\n`);
process.stdout.write(`${problems.length === 0 ? "all held" : `${problems.length} problems`}\n`);
process.exitCode = problems.length === 0 ? 0 : 1;
