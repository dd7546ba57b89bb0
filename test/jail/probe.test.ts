/**
 * Goal: a builder that tries every way out which is known finds none.
 * Method: the probe (test/jail/probe/) runs as a builder, with an accomplice outside that offers what could be reached. That
 * it finds what is open is shown outside of any jail here, and under nix-daemon and guix-daemon in
 * test/oracle/probe.test.ts.
 */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { defaultBlockedNetworks, findPasta, findWhyNoWayOut } from "../../sandbox-native/way-out.ts";
import { strengthsToTest } from "../support/granted-strengths.ts";
import type { ProbeRow } from "../support/probe-report.ts";
import { ProbeBench } from "../support/probe-runs.ts";
import { makeTemporaryLauncher } from "../support/temporary-launcher.ts";

const jailDocument = readFileSync(new URL("../../docs/jail.md", import.meta.url), "utf8");

/** What docs/jail.md says is not held: names of attempts between backquotes, "*" at the end for all that begin so. */
const notHeld = namesIn("## What it does not keep apart");
const notHeldInSingle = namesIn("## Not held in single strength");

let bench: ProbeBench;
beforeAll(async () => {
  bench = await ProbeBench.open();
});
afterAll(() => bench?.[Symbol.asyncDispose]());

describe.for(await strengthsToTest())("in $strength strength", ({ strength, missing }) => {
  test("the probe finds nothing open", async ({ skip }) => {
    skip(missing !== "", missing);
    await using here = await makeTemporaryLauncher({ strength });
    const { rows, answer } = await bench.inCloister(here);
    expect(answer.ending).toEqual({ kind: "exited", code: 0 });
    expect(rows.length).toBeGreaterThan(300);
    expect(wrongRows(rows, strength)).toEqual([]);
    // Nobody came to the accomplice, and it was sent nothing.
    expect(await bench.accomplice.write()).toEqual({ connections: 0, descriptors: 0, written: 0 });
    expect(answer.outputs.map(({ kind }) => kind)).toEqual(["sealed"]);
    await here.launcher.discard([], [answer.view]);
  });

  test("with a way out it finds nothing open but that", async ({ skip }) => {
    skip(missing !== "", missing);
    const pasta = findPasta();
    const without = findWhyNoWayOut(pasta, strength);
    skip(without !== undefined, `needs a way out: ${without?.reason}`);
    await using here = await makeTemporaryLauncher({ strength, pasta });
    const network = { kind: "outbound" as const, blocked: [...defaultBlockedNetworks], nameservers: [] };
    const { rows, answer } = await bench.inCloister(here, network);
    expect(answer.ending).toEqual({ kind: "exited", code: 0 });
    // Its profile lets programs that go out speak MPTCP (docs/seccomp.md).
    const wayOut = ["network/devices", "network/outside", "sockets/mptcp"];
    expect(wrongRows(rows, strength).filter((line) => !wayOut.some((name) => line.startsWith(`${name}:`)))).toEqual([]);
    expect(await bench.accomplice.write()).toEqual({ connections: 0, descriptors: 0, written: 0 });
    await here.launcher.discard([], [answer.view]);
  });
});

test("outside of any jail the probe finds much open, and each attempt has a name of its own", () => {
  const rows = bench.inNothing();
  expect(new Set(rows.map(({ name }) => name)).size).toBe(rows.length);
  const open = rows.filter(({ verdict }) => verdict === "open").map(({ name }) => name);
  expect(open.length).toBeGreaterThan(80);
  // Open to an ordinary process of any Linux.
  for (const name of [
    "privileges/no-new-privs",
    "privileges/seccomp",
    "setuid/chmod",
    "setuid/open",
    "setgid/fchmod",
    "inputs/write",
    "host/secret-file",
    "network/host-loopback",
    "network/abstract-socket",
    "network/path-socket",
    "memory/shared-segment",
    "namespaces/own-net",
    "processes/see-outside",
  ])
    expect.soft(open, name).toContain(name);
});

test("docs/jail.md counts the attempts that there are", ({ skip }) => {
  skip(process.arch !== "x64", "needs x86_64, which has more calls");
  const counts = new Map<string, number>();
  for (const { name } of bench.inNothing()) {
    const area = name.slice(0, name.indexOf("/"));
    counts.set(area, (counts.get(area) ?? 0) + 1);
  }
  const rows = jailDocument.matchAll(/^\| ([a-z]+) \((\d+)\) \|/gm);
  expect(new Map([...rows].map(([, area = "", count]) => [area, Number(count)]))).toEqual(counts);
});

function namesIn(title: string): string[] {
  const section = jailDocument.split(/^(?=## )/m).find((part) => part.startsWith(title)) ?? "";
  return [...section.matchAll(/`([a-z]+\/[a-zA-Z0-9_*-]+)`/g)].map(([, name = ""]) => name);
}

/** What should be in docs/jail.md, or be held. */
function wrongRows(rows: readonly ProbeRow[], strength: string): string[] {
  return rows
    .filter(({ verdict }) => verdict !== "held" && verdict !== "absent")
    .filter(({ name, verdict }) => verdict === "broken" || !isListedOpen(name, strength))
    .map(({ name, verdict, detail }) => `${name}: ${verdict}, ${detail}`);
}

function isListedOpen(name: string, strength: string): boolean {
  const listed = strength === "single" ? [...notHeld, ...notHeldInSingle] : notHeld;
  return listed.some((entry) => (entry.endsWith("*") ? name.startsWith(entry.slice(0, -1)) : name === entry));
}
