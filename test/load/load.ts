/**
 * Many clients of all kinds at once on one daemon, again and again: no build is lost or done twice, nobody starves, and
 * nothing is held for who has gone. Used by `npm run load` and, briefly, by load.test.ts.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "../../daemon/library.ts";
import { median } from "../bench/row.ts";
import {
  anonymousKiB,
  findLauncher,
  findLeft,
  groupName,
  type Held,
  residentKiB,
  settle,
} from "../support/held-by-daemon.ts";
import { LocalBuilds } from "../support/local-builds.ts";
import { OwnStore } from "../support/own-store.ts";
import { makeRandom } from "../support/random.ts";
import { behaviours } from "./behaviours.ts";
import { comesTrue, makeGraph, type Node } from "./graph.ts";

export interface LoadOptions {
  readonly runs: number;
  readonly clients: number;
  readonly seed: number;
  /** Told of each run that is over. */
  readonly onRun?: (run: number, problems: readonly string[]) => void;
  /** How long to leave the daemon alone before it is looked at for the last time, in milliseconds. */
  readonly restMs?: number;
  /** For the control: done in the middle of the first run, and must show. */
  readonly sabotage?: (daemonPid: number) => void;
}

export interface LoadReport {
  readonly seconds: number;
  /** How often each behaviour came. */
  readonly behaved: Readonly<Record<string, number>>;
  /** Each with its run's seed. */
  readonly problems: readonly string[];
  readonly held: { readonly before: Held; readonly after: Held };
  /** Anonymous memory of the daemon after each run, the median of each tenth, in KiB. */
  readonly daemonKiB: readonly number[];
  /** All that the daemon holds in memory when it was left alone (VmRSS), in KiB. */
  readonly restingKiB: number;
}

/** A client that waits longer than this for twelve small builds is starved, on the slowest machine. */
const patienceMs = 120_000;
/** Jails and directories that are prepared for builds to come, and caches that fill, come and go. */
const slack = 40;

export async function load(given: LoadOptions): Promise<LoadReport> {
  const store = new OwnStore();
  try {
    const client = await store.connect({ reconnect: false });
    const { pid } = await client.status();
    const builds = await LocalBuilds.over(client, store.root);
    const behaved: Record<string, number> = {};
    const problems: string[] = [];
    const memory: number[] = [];
    const runOnce = async (run: number, sabotage?: () => void) => {
      const found: string[] = [];
      const nodes = await makeGraph(builds, `${run}`);
      const random = makeRandom(given.seed + run);
      const chosen = Array.from({ length: given.clients }, () => chooseBehaviour(random));
      await behaveAll(store.socket, { nodes, chosen, random, sabotage, report: (problem) => found.push(problem) });
      for (const { name } of chosen) behaved[name] = (behaved[name] ?? 0) + 1;
      await lookAfter(client, nodes, (problem) => found.push(problem));
      memory.push(anonymousKiB(pid));
      problems.push(...found.map((problem) => `seed ${given.seed + run}: ${problem}`));
      given.onRun?.(run, found);
    };

    await runOnce(0, given.sabotage && (() => given.sabotage?.(pid)));
    if (given.sabotage !== undefined) {
      await (await store.connect())[Symbol.asyncDispose](); // which removes what the killed one left and we may not
      return emptyReport(behaved, problems);
    }
    const before = await settle(pid, store.root);
    const startMs = performance.now();
    for (let run = 1; run <= given.runs; run += 1) await runOnce(run);
    const seconds = (performance.now() - startMs) / 1000;
    const after = await settle(pid, store.root);
    await sleep(given.restMs ?? 0);
    const restingKiB = residentKiB(pid);
    for (const name of Object.keys(before) as (keyof Held)[])
      if (after[name] > before[name] + slack) problems.push(`${name}: ${before[name]} before, ${after[name]} after`);

    const groups = groupName(findLauncher(pid));
    await client[Symbol.asyncDispose]();
    await store.endDaemon();
    problems.push(...findLeft(store.root, groups).map((what) => `left: ${what}`));
    const tenth = memory.length / 10;
    const daemonKiB = Array.from({ length: 10 }, (_, index) =>
      median(
        memory.slice(
          Math.floor(index * tenth),
          Math.max(Math.floor((index + 1) * tenth), Math.floor(index * tenth) + 1),
        ),
      ),
    );
    return { seconds, behaved, problems, held: { before, after }, daemonKiB, restingKiB };
  } finally {
    await store[Symbol.asyncDispose]();
  }
}

/** As often as its weight says. */
const tickets = behaviours.flatMap((behaviour) => Array<typeof behaviour>(behaviour.weight).fill(behaviour));

function chooseBehaviour(random: () => number): (typeof behaviours)[number] {
  return tickets[Math.floor(random() * tickets.length)] as (typeof behaviours)[number];
}

async function behaveAll(
  socket: string,
  {
    nodes,
    chosen,
    random,
    sabotage,
    report,
  }: {
    readonly nodes: readonly Node[];
    readonly chosen: readonly (typeof behaviours)[number][];
    readonly random: () => number;
    readonly sabotage: (() => void) | undefined;
    readonly report: (problem: string) => void;
  },
): Promise<void> {
  const { promise: over, resolve: endAll } = Promise.withResolvers<void>();
  const acts = chosen.map(({ name, behave }) => {
    const own = makeRandom(Math.floor(random() * 2 ** 31));
    const act = behave({ socket, nodes, random: own, over, report }).catch((error: unknown) =>
      report(`a ${name} client: ${String(error)}`),
    );
    return { name, act };
  });
  sabotage?.();
  const waiting = acts.filter(({ name }) => name !== "slow").map(({ act }) => act);
  const everyone = Promise.all(waiting).then(() => true);
  if (!(await Promise.race([everyone, sleep(patienceMs, false, { ref: false })])))
    report(`somebody waits since ${patienceMs / 1000} s`);
  endAll();
  await Promise.all(acts.map(({ act }) => act));
}

/** What must be true when all clients but ours have gone. */
async function lookAfter(client: Client, nodes: readonly Node[], report: (problem: string) => void): Promise<void> {
  try {
    const isQuiet = async () => {
      const { runningBuilds, waitingBuilds, connections } = await client.status();
      return runningBuilds === 0 && waitingBuilds === 0 && connections === 1;
    };
    if (!(await comesTrue(isQuiet, patienceMs))) report(`it is still busy: ${JSON.stringify(await client.status())}`);
    for (const { derived } of nodes) {
      const records = await client.queryBuildRecords({ text: derived.drvPath, limit: 1000 });
      const done = records.filter(({ status }) => status === "done").length;
      if (done > 1) report(`${derived.drvPath} was built ${done} times`);
      const other = records.find(({ status }) => status !== "done" && status !== "cancelled");
      if (other !== undefined) report(`a record of ${derived.drvPath} is ${other.status}: ${other.error?.message}`);
    }
    const leases = (await client.listRoots()).filter(({ kind }) => kind === "lease");
    const owners = new Set(leases.map(({ from }) => from));
    if (owners.size > 1) report(`leases are held by ${[...owners].join(", ")}`);
  } catch (error) {
    report(`our own client: ${String(error)}`);
  }
}

function emptyReport(behaved: Readonly<Record<string, number>>, problems: readonly string[]): LoadReport {
  const none: Held = {
    processes: 0,
    zombies: 0,
    descriptors: 0,
    namespaces: 0,
    mounts: 0,
    controlGroups: 0,
    entries: 0,
  };
  return { seconds: 0, behaved, problems, held: { before: none, after: none }, daemonKiB: [], restingKiB: 0 };
}
