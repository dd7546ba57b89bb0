/**
 * Where the microseconds of one trivial build go: each step of the client, the daemon and the launcher on one clock, and
 * the processor time that client and daemon take. Every build comes after a rest, as it does in turns with other work.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { connect } from "../../daemon/library.ts";
import type { Noted } from "./account-daemon.ts";
import { measureReference } from "./reference.ts";
import { median } from "./row.ts";
import { cloisterOf } from "./subjects.ts";
import type { Suite } from "./suite.ts";
import { addTrivialBuild, dumpBusybox, prepare } from "./workload.ts";

/** In their order; each is the time since the one before. */
const path = [
  ["requested", "the client's call, until the daemon has read it"],
  ["prepared", "planned, its inputs found, its order made"],
  ["build:ordered", "the order sent, the record written"],
  ["answered", "the rest of the launcher's work, until JavaScript has its answer"],
  ["build:settled", "what came out is looked at"],
  ["register:before-commit", "until it is registered with others of this turn"],
  ["register:after-commit", "the transaction"],
  ["ended", "the build and its request are over"],
  ["told", "until the client has the result"],
] as const;

const restMs = 15;

export const accountSuite: Suite = async ({ temporary, smoke, report }) => {
  const root = join(temporary, "account");
  mkdirSync(root);
  const socket = join(root, "socket");
  const daemon = fork(new URL("./account-daemon.ts", import.meta.url), [root, socket]);
  try {
    await once(daemon, "message");
    const subject = await cloisterOf(await connect({ socket }));
    const prepared = await prepare(subject, await dumpBusybox(temporary), 120);
    const ask = async (): Promise<Noted> => {
      daemon.send("noted");
      const [noted] = await once(daemon, "message");
      return noted as Noted;
    };
    const [warm, count] = smoke ? [2, 3] : [100, 200];
    const builds: Sample[] = [];
    for (let index = 0; index < warm + count; index += 1) {
      const { drvPath } = await addTrivialBuild(prepared, 10);
      await rest();
      const before = await ask();
      await rest();
      const called = now();
      const processor = process.cpuUsage();
      await subject.build([drvPath]);
      const told = now();
      const { user, system } = process.cpuUsage(processor);
      await rest();
      const noted = await ask();
      const daemonTime = noted.processorTime - before.processorTime;
      if (index >= warm)
        builds.push({ called, steps: { ...noted.steps, told }, noted, client: user + system, daemon: daemonTime });
    }
    await subject[Symbol.asyncDispose]();
    reportBuilds(builds, report, measureReference(temporary, smoke ? 20 : 300) * 1000);
  } finally {
    daemon.disconnect();
    if (daemon.exitCode === null) await once(daemon, "exit");
  }
};

interface Sample {
  readonly called: number;
  readonly steps: Readonly<Record<string, number>>;
  readonly noted: Noted;
  readonly client: number;
  readonly daemon: number;
}

function reportBuilds(builds: readonly Sample[], report: Parameters<Suite>[0]["report"], ref: number): void {
  const row = (name: string, of: (sample: Sample) => number) =>
    report({
      ...{ suite: "account", row: name, unit: "µs", better: "less", peers: {} },
      cloister: median(builds.map(of)),
    });
  const at = ({ called, steps }: Sample, step: string | undefined) =>
    step === undefined ? called : (steps[step] ?? called);
  for (const [index, [step, what]] of path.entries())
    row(what, (sample) => at(sample, step) - at(sample, path[index - 1]?.[0]));
  for (const name of Object.keys(builds[0]?.noted.launcher ?? {}))
    row(`launcher: ${name}`, ({ noted }) => noted.launcher[name] ?? 0);
  row("processor time of the client", ({ client }) => client);
  row("processor time of the daemon", ({ daemon }) => daemon);
  report({
    ...{ suite: "account", row: "a whole build", unit: "µs", better: "less", peers: {}, ref },
    cloister: median(builds.map((sample) => at(sample, "told") - sample.called)),
  });
}

function now(): number {
  return Number(process.hrtime.bigint() / 1000n);
}

function rest(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, restMs));
}
