/** `npm run soak -- --jails 10000 --seed 7 [--strength single]`: jails one after another, and what they leave. */
import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import type { Held } from "../support/held-by-daemon.ts";
import { problemsOf, soak } from "./soak.ts";

const { values } = parseArgs({
  options: {
    jails: { type: "string", default: "10000" },
    seed: { type: "string" },
    strength: { type: "string", default: "auto" },
  },
});
const seed = values.seed === undefined ? randomInt(2 ** 31) : Number(values.seed);
const jails = Number(values.jails);
process.stdout.write(`seed ${seed}, ${jails} jails\n`);
const soaked = await soak(jails, seed, values.strength as Parameters<typeof soak>[2]);
process.stdout.write(`${soaked.seconds.toFixed(1)} s, ${((soaked.seconds * 1000) / jails).toFixed(2)} ms a jail\n`);
for (const name of Object.keys(soaked.before) as (keyof Held)[])
  process.stdout.write(`${name}: ${soaked.before[name]} before, ${soaked.after[name]} after\n`);
process.stdout.write(`KiB of the daemon in each tenth: ${soaked.daemonKiB.join(" ")}\n`);
process.stdout.write(`KiB of the launcher: ${soaked.launcherKiB.join(" ")}\n`);
const problems = problemsOf(soaked);
process.stdout.write(`${problems.length === 0 ? "nothing is left, and nothing has grown" : problems.join("\n")}\n`);
process.exitCode = problems.length === 0 ? 0 : 1;
