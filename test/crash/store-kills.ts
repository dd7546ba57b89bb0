/**
 * Kills a process that works on a store, as `kill -9` does, at each named point and at any moment, again and again on the
 * same store; after each kill the store is opened and everything that is valid is looked at.
 *
 *     node test/crash/store-kills.ts [RUNS] [SEED] [plain|launcher]
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { crashPoints } from "../../store/crash-points.ts";
import { collectGarbage } from "../../store/gc.ts";
import { makeRandom } from "../support/random.ts";
import { findProblems, workOn } from "../support/store-state.ts";
import { TemporaryStore } from "../support/temporary-store.ts";
import { type WriterKind, writerStarter } from "../support/tree-writers.ts";

/** How many times the process died at each point. */
export type Histogram = Record<string, number>;

/** Those of a build are not reached here: test/crash has tests of their own for them. */
export const places: readonly string[] = [...crashPoints.filter((point) => !point.startsWith("build:")), "any-moment"];

/** Throws, with the seed, what it found wrong after a kill. */
export async function killAgainAndAgain(options: {
  readonly runs: number;
  readonly seed: number;
  readonly writer: WriterKind;
}): Promise<Histogram> {
  const { writer } = options;
  const random = makeRandom(options.seed);
  const histogram: Histogram = Object.fromEntries(places.map((place) => [place, 0]));
  await using temporary = new TemporaryStore();
  for (let run = 0; run < options.runs; ++run) {
    const place = places[run % places.length] ?? "any-moment";
    const nth = place.startsWith("open:") ? 1 : 1 + Math.floor(random() * 2);
    const seed = Math.floor(random() * 1e9);
    const delayMs = Math.floor(random() * 150);
    if (await runAndKill([temporary.root, writer, place, String(nth), String(seed)], delayMs))
      histogram[place] = (histogram[place] ?? 0) + 1;

    const store = await temporary.open({ startWriter: writerStarter(writer) });
    const problems = await findProblems(store);
    await workOn(store, seed + 1, 3); // the store goes on working
    if (run % 5 === 4) {
      await collectGarbage(store, { dryRun: false });
      const valid = new Set<string>(store.graph.paths());
      problems.push(...temporary.onDisk().flatMap((name) => (valid.has(name) ? [] : [`${name} is left in the store`])));
      problems.push(...(await findProblems(store)));
    }
    await temporary.close();
    if (problems.length > 0)
      throw new Error(`run ${run} (seed ${options.seed}), killed at ${place}:\n${[...new Set(problems)].join("\n")}`);
  }
  return histogram;
}

/**
 * The worker's arguments are root, writer, place, which time, seed. True if it was killed; false if it was done before it
 * came to that.
 */
async function runAndKill(workerArguments: readonly string[], delayMs: number): Promise<boolean> {
  const place = workerArguments[2];
  const worker = fork(fileURLToPath(new URL("./store-worker.ts", import.meta.url)), workerArguments, {
    execArgv: [],
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
  let complaint = "";
  worker.stderr?.on("data", (text: Buffer) => {
    complaint += text.toString();
  });
  const ended = once(worker, "exit") as Promise<[number | null, NodeJS.Signals | null]>;
  if (place === "any-moment") {
    await Promise.race([once(worker, "message"), ended]);
    await sleep(delayMs);
    worker.kill("SIGKILL");
  }
  const [code, signal] = await ended;
  if (signal === "SIGKILL") return true;
  if (code !== 0) throw new Error(`the worker failed (${workerArguments.join(" ")}): ${complaint}`);
  return false;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const runs = Number(process.argv[2] ?? 1000);
  const seed = Number(process.argv[3] ?? Date.now() % 1e9);
  const writer: WriterKind = process.argv[4] === "plain" ? "plain" : "launcher";
  process.stdout.write(`${runs} kills, seed ${seed}, ${writer} writer\n`);
  const histogram = await killAgainAndAgain({ runs, seed, writer });
  for (const [place, count] of Object.entries(histogram))
    process.stdout.write(`${String(count).padStart(6)}  ${place}\n`);
}
