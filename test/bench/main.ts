/**
 * `npm run bench [SUITE...] [-- --json --smoke]`: the same work on cloister and on the peers in one run, a row each.
 * Peers that are not there are left out and said: nix-daemon and guix-daemon need root and CLOISTER_PEERS, the chroot
 * that test/support/peers.sh makes.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { accountSuite } from "./account.ts";
import { buildsSuite } from "./builds.ts";
import { cliSuite } from "./cli.ts";
import { clientsSuite } from "./clients.ts";
import { derivationsSuite } from "./derivations.ts";
import { jailSuite } from "./jail.ts";
import { type Measured, makeRow, printRow, type Row, tableHead } from "./row.ts";
import { storeSuite } from "./store.ts";
import { openCloister, openPeer, type Subject } from "./subjects.ts";
import type { Suite } from "./suite.ts";

const suites: Readonly<Record<string, { run: Suite; needsSubjects: boolean }>> = {
  derivations: { run: derivationsSuite, needsSubjects: false },
  builds: { run: buildsSuite, needsSubjects: true },
  jail: { run: jailSuite, needsSubjects: false },
  store: { run: storeSuite, needsSubjects: true },
  cli: { run: cliSuite, needsSubjects: false },
  account: { run: accountSuite, needsSubjects: false },
  clients: { run: clientsSuite, needsSubjects: false },
};

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { json: { type: "boolean", default: false }, smoke: { type: "boolean", default: false } },
  });
  const unknown = positionals.find((name) => !Object.hasOwn(suites, name));
  if (unknown !== undefined) {
    process.stderr.write(`no suite ${unknown}; there are: ${Object.keys(suites).join(", ")}\n`);
    return 2;
  }
  const chosen = positionals.length === 0 ? Object.keys(suites) : positionals;
  const rows: Row[] = [];
  const report = (measured: Measured): void => {
    const row = makeRow(measured);
    rows.push(row);
    process.stdout.write(values.json ? `${JSON.stringify(row)}\n` : `${printRow(row)}\n`);
  };
  if (!values.json) process.stdout.write(`${tableHead}\n`);
  for (const name of chosen) await runSuite(name, { json: values.json, smoke: values.smoke, report });
  const missed = rows.filter((row) => row.met === false);
  if (!values.json) process.stdout.write(`${rows.length} rows, ${missed.length} below their goal\n`);
  return 0;
}

async function runSuite(
  name: string,
  options: { json: boolean; smoke: boolean; report: (measured: Measured) => void },
): Promise<void> {
  const suite = suites[name] as { run: Suite; needsSubjects: boolean };
  mkdirSync("/dev/shm", { recursive: true });
  const temporary = mkdtempSync(join("/dev/shm", "cloister-bench-"));
  const subjects: Subject[] = [];
  try {
    if (suite.needsSubjects) {
      const root = join(temporary, "root");
      mkdirSync(root);
      subjects.push(await openCloister(root));
      for (const flavour of ["nix", "guix"] as const)
        if (process.env.CLOISTER_PEERS !== undefined && process.getuid?.() === 0)
          subjects.push(await openPeer(flavour));
        else process.stderr.write(`${flavour}-daemon is left out: it needs root and CLOISTER_PEERS\n`);
    }
    await suite.run({ temporary, smoke: options.smoke, subjects, report: options.report });
  } finally {
    for (const subject of subjects) await subject[Symbol.asyncDispose]();
    rmSync(temporary, { recursive: true, force: true });
  }
}

process.exitCode = await main();
