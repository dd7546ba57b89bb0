/** `npm run crash -- --rounds 200 --seed 7`: the long form of the kill test; prints its seed and the histogram. */
import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import { openHarness, strikeOnce } from "./kill-build.ts";
import { countStruck, type Moment, makeMoments, nameOf, printHistogram } from "./moments.ts";

const { values } = parseArgs({ options: { rounds: { type: "string", default: "200" }, seed: { type: "string" } } });
const seed = values.seed === undefined ? randomInt(2 ** 31) : Number(values.seed);
const moments = makeMoments(seed, Number(values.rounds));
process.stdout.write(`seed ${seed}, ${moments.length} rounds\n`);

using harness = openHarness();
let failed = 0;
const struck: Moment[] = [];
for (const [index, moment] of moments.entries())
  try {
    if (await strikeOnce(harness, moment, index)) struck.push(moment);
  } catch (error) {
    failed += 1;
    process.stdout.write(
      `round ${index}: ${nameOf(moment)}, time ${moment.nth}, ${moment.delayMs} ms later: ${String(error)}\n`,
    );
  }
process.stdout.write(`${printHistogram(countStruck(struck))}\n${moments.length - failed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 ? 0 : 1;
