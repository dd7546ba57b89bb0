/**
 * `npm run real-work [-- NAME… --rounds N --json]`: GNU hello, zlib and SQLite, built and tested by their own tests in a
 * jail and outside of one, a row each. Exit status 1 if a build fails, 3 if the source archives cannot be had.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { connect } from "../../daemon/library.ts";
import { makeRemovable } from "../support/temporary-store.ts";
import { fetchArchives, type Software, software } from "./archives.ts";
import { measure, type RealWorkRow } from "./rounds.ts";

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { json: { type: "boolean", default: false }, rounds: { type: "string", default: "3" } },
  });
  const unknown = positionals.find((name) => !software.some((each) => each === name));
  const rounds = Number(values.rounds);
  if (unknown !== undefined || !Number.isInteger(rounds) || rounds < 1) {
    process.stderr.write(
      `usage: npm run real-work [-- NAME… --rounds N --json]; NAME is one of ${software.join(", ")}\n`,
    );
    return 2;
  }
  const names = positionals.length === 0 ? software : (positionals as Software[]);
  const missing = fetchArchives(names);
  if (missing !== "") {
    process.stderr.write(`${missing}\n`);
    return 3;
  }
  const folder = mkdtempSync(join(tmpdir(), "cloister-real-work-"));
  const client = await connect({ root: join(folder, "root") });
  try {
    if (!values.json) process.stdout.write(`${tableHead}\n`);
    for (const name of names) {
      const row = await measure(client, folder, name, rounds);
      process.stdout.write(values.json ? `${JSON.stringify(row)}\n` : `${printRow(row)}\n`);
    }
    return 0;
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  } finally {
    await client.shutdown({ drainMs: 0 }).catch(() => {}); // a daemon that is gone has been told of already
    await client[Symbol.asyncDispose]();
    await makeRemovable(folder);
    rmSync(folder, { recursive: true, force: true });
  }
}

const tableHead = `${"built and tested".padEnd(20)} ${"in a jail".padStart(12)} ${"outside".padStart(12)} ${"ratio".padStart(7)} ${"processor".padStart(10)}   goal`;

function printRow({ row, jailSeconds, outsideSeconds, ratio, processorRatio, goal, met }: RealWorkRow): string {
  const seconds = (value: number) => `${value.toFixed(2)} s`.padStart(12);
  return `${row.padEnd(20)} ${seconds(jailSeconds)} ${seconds(outsideSeconds)} ${ratio.toFixed(3).padStart(7)} ${processorRatio.toFixed(3).padStart(10)} ≤ ${goal} ${met ? "met" : "MISSED"}`;
}

process.exitCode = await main();
