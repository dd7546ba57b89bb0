/**
 * `npm run real-work [-- NAME… --rounds N --json]`: GNU hello, zlib and SQLite, built and tested by their own tests in a
 * jail and outside of one, a row each. Exit status 1 if a build fails, 3 if the source archives cannot be had.
 */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { connect } from "../../daemon/library.ts";
import { processStartTime, waitForProcessEnd } from "../../sandbox-native/posix.ts";
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
  chmodSync(folder, 0o755); // what is built outside of a jail is not root's
  const client = await connect({ root: join(folder, "root") });
  const { pid } = await client.status();
  const startTime = processStartTime(pid);
  const stop = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const)
    process.on(name, () => stop.abort(new Error(`ended by ${name}; nothing is left`)));
  try {
    if (!values.json) process.stdout.write(`${tableHead}\n`);
    for (const name of names) {
      const row = await measure(client, folder, name, { count: rounds, signal: stop.signal });
      process.stdout.write(values.json ? `${JSON.stringify(row)}\n` : `${printRow(row)}\n`);
    }
    return 0;
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  } finally {
    await client.shutdown({ drainMs: 0 }).catch(() => {}); // a daemon that is gone has been told of already
    await client[Symbol.asyncDispose]();
    if (startTime !== undefined) await waitForProcessEnd(pid, startTime); // it removes files of its own until then
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
