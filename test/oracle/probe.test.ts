/**
 * Goal: what the probe says of cloister means something: it must find what other daemons are known to leave open.
 * Method: it runs as a builder of theirs, in their own sandboxes. What this kernel lacks is absent outside of any jail too.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { lacksPeers, needsPeers } from "../support/peers.ts";
import type { ProbeRow } from "../support/probe-report.ts";
import { ProbeBench } from "../support/probe-runs.ts";

let bench: ProbeBench;
let bare: ReadonlyMap<string, ProbeRow>;
beforeAll(async () => {
  if (lacksPeers) return;
  bench = await ProbeBench.open();
  bare = new Map(bench.inNothing().map((row) => [row.name, row]));
});
afterAll(() => bench?.[Symbol.asyncDispose]());

const openInBoth = [
  "proc/keys",
  "privileges/bounding-set",
  "sockets/vsock",
  "sockets/netlink-netfilter",
  "namespaces/nested-user",
  "keys/add_key",
  "kernel/userfaultfd",
  "kernel/io_uring_setup",
  "setuid/open",
];

const openInGuix = [
  "privileges/no-new-privs",
  "privileges/seccomp",
  "setuid/chmod",
  "setgid/chmod",
  "setuid/fchmodat2",
  "setgid/fchmodat2",
  "attributes/setxattr-user",
];

test.for([
  { flavour: "nix", expected: openInBoth },
  { flavour: "guix", expected: [...openInBoth, ...openInGuix] },
] as const)("the probe finds what $flavour-daemon leaves open", async ({ flavour, expected }, { skip }) => {
  skip(lacksPeers, needsPeers);
  const rows = await bench.inPeer(flavour);
  expect(rows.filter(({ verdict }) => verdict === "broken")).toEqual([]);
  const found = new Map(rows.map((row) => [row.name, row]));
  for (const name of expected) {
    const verdict = found.get(name)?.verdict;
    if (verdict === "absent" && bare.get(name)?.verdict === "absent") continue;
    expect.soft(verdict, `${name}: ${found.get(name)?.detail}`).toBe("open");
  }
});
