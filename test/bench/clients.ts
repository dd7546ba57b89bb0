/**
 * A hundred connections that build and query against one that only builds, in turns on one daemon, and how late the
 * daemon's event loop is while it serves the hundred, by its own metrics.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { connect } from "../../daemon/library.ts";
import { LoopDelays } from "./loop-delays.ts";
import { median } from "./row.ts";
import { cloisterOf, openCloister } from "./subjects.ts";
import type { Suite } from "./suite.ts";
import { addTrivialBuild, dumpBusybox, type Prepared, prepare } from "./workload.ts";

type Cloister = Awaited<ReturnType<typeof cloisterOf>>;

const inputCount = 10;

export const clientsSuite: Suite = async ({ temporary, smoke, report }) => {
  const connections = smoke ? 10 : 100;
  const [rounds, builds] = smoke ? [1, 40] : [5, 600];
  const root = join(temporary, "clients");
  mkdirSync(root);
  const alone = await openCloister(root);
  const many: Cloister[] = [];
  try {
    const prepared = await prepare(alone, await dumpBusybox(temporary), 120);
    const { maxJobs } = await alone.client.status();
    // Warm is a daemon that has built before, and the first scrape loads what prints it.
    await buildAll(await addBuilds(prepared, smoke ? 10 : 300), Array<Cloister>(maxJobs).fill(alone), build);
    await alone.client.readMetrics();

    const rates: Record<"one" | "many", number[]> = { one: [], many: [] };
    const delays = new LoopDelays();
    for (let round = 0; round < rounds; round += 1) {
      const forOne = await addBuilds(prepared, builds);
      rates.one.push(await buildAll(forOne, Array<Cloister>(maxJobs).fill(alone), build));

      const forMany = await addBuilds(prepared, builds);
      while (many.length < connections) many.push(await cloisterOf(await connect({ socket: alone.client.socket })));
      const before = await alone.client.readMetrics();
      rates.many.push(await buildAll(forMany, many, (subject, path) => buildAndQuery(subject, path, prepared)));
      delays.add(before, await alone.client.readMetrics());
      // Gone while one builds alone: it shall be one connection.
      for (const subject of many.splice(0)) await subject.client[Symbol.asyncDispose]();
    }

    const rate = { suite: "clients", unit: "builds/s", better: "more", peers: {} } as const;
    const one = median(rates.one);
    report({ ...rate, row: `one connection, ${maxJobs} builds at once`, cloister: one });
    report({
      ...rate,
      row: `${connections} that build and query, against one`,
      cloister: median(rates.many),
      ref: one,
      against: "ref",
      goal: 0.9,
    });
    const delay = { suite: "clients", unit: "ms", better: "less", peers: {}, against: "ref", goal: 1 } as const;
    report({ ...delay, row: "event loop's delay, 99 of 100 (ref: limit)", cloister: delays.quantile(0.99), ref: 5 });
    report({ ...delay, row: "event loop's delay, longest (ref: limit)", cloister: delays.longest, ref: 20 });
  } finally {
    for (const subject of many) await subject.client[Symbol.asyncDispose]();
    await alone[Symbol.asyncDispose]();
  }
};

async function addBuilds(prepared: Prepared, count: number): Promise<string[]> {
  const paths: string[] = [];
  while (paths.length < count) paths.push((await addTrivialBuild(prepared, inputCount)).drvPath);
  return paths;
}

/** Each subject takes the next one when it is done with its last, until none is left; resolves to builds per second. */
async function buildAll(
  drvPaths: readonly string[],
  subjects: readonly Cloister[],
  work: (subject: Cloister, drvPath: string) => Promise<void>,
): Promise<number> {
  const left = drvPaths.values();
  const start = performance.now();
  await Promise.all(
    subjects.map(async (subject) => {
      for (const drvPath of left) await work(subject, drvPath);
    }),
  );
  return (drvPaths.length * 1000) / (performance.now() - start);
}

function build(subject: Cloister, drvPath: string): Promise<void> {
  return subject.build([drvPath]);
}

async function buildAndQuery(subject: Cloister, drvPath: string, { inputs }: Prepared): Promise<void> {
  await subject.build([drvPath]);
  await subject.pathInfo(drvPath);
  await subject.validPaths([drvPath, ...inputs]);
  await subject.client.status();
}
