/**
 * Prints what the probe finds open, by area and builder of jails, as the table in docs/jail.md: `npm run probe`. With
 * `--all`, every row. The peers need root and the tree of test/support/peers.sh.
 */
import { lacksPeers } from "../support/peers.ts";
import type { ProbeRow } from "../support/probe-report.ts";
import { ProbeBench } from "../support/probe-runs.ts";
import { makeTemporaryLauncher } from "../support/temporary-launcher.ts";

await using bench = await ProbeBench.open();
const columns = new Map<string, ProbeRow[]>([["no jail", bench.inNothing()]]);
if (!lacksPeers) for (const flavour of ["nix", "guix"] as const) columns.set(flavour, await bench.inPeer(flavour));
{
  await using here = await makeTemporaryLauncher();
  columns.set("cloister", (await bench.inCloister(here)).rows);
}

const names = [...columns.values()][0]?.map(({ name }) => name) ?? [];
const areas = [...new Set(names.map((name) => name.slice(0, name.indexOf("/"))))];
const lines = process.argv.includes("--all") ? names.map(printAttempt) : areas.map(printArea);
const heads = ["tried", ...columns.keys()];
process.stdout.write([heads, heads.map(() => "---"), ...lines].map((cells) => `| ${cells.join(" | ")} |\n`).join(""));

/** How many attempts are open, and the first of them. */
function printArea(area: string): string[] {
  const count = names.filter((name) => name.startsWith(`${area}/`)).length;
  const cells = [...columns.values()].map((rows) => {
    const open = rows.filter(({ name, verdict }) => name.startsWith(`${area}/`) && verdict === "open");
    return open.length === 0 ? "–" : String(open.length);
  });
  return [`${area} (${count})`, ...cells];
}

function printAttempt(name: string): string[] {
  return [
    name,
    ...[...columns.values()].map((rows) => {
      const row = rows.find((candidate) => candidate.name === name);
      return row === undefined ? "not run" : `${row.verdict} ${row.detail.slice(0, 60)}`;
    }),
  ];
}
