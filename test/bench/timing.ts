/** Rounds that go over all subjects in turn, so that a slow minute of the machine hits each alike. */
import { median } from "./row.ts";
import type { Subject } from "./subjects.ts";

/** Median milliseconds per subject of `work`, whose set-up (what `setUp` resolves to) is not timed. */
export async function interleaved<Item>(
  subjects: readonly Subject[],
  rounds: number,
  setUp: (subject: Subject) => Promise<Item>,
  work: (subject: Subject, item: Item) => Promise<unknown>,
): Promise<ReadonlyMap<string, number>> {
  const times = new Map(subjects.map((subject) => [subject.name, [] as number[]]));
  for (let round = 0; round < rounds; round += 1)
    for (const subject of subjects) {
      const item = await setUp(subject);
      const start = performance.now();
      await work(subject, item);
      times.get(subject.name)?.push(performance.now() - start);
    }
  return new Map([...times].map(([name, values]) => [name, median(values)]));
}

/** Splits the answer into cloister's and the peers', turned by `convert` into the row's unit. */
export function split(
  times: ReadonlyMap<string, number>,
  convert: (milliseconds: number) => number = (milliseconds) => milliseconds,
): { cloister: number; peers: Record<string, number> } {
  const peers: Record<string, number> = {};
  let cloister = Number.NaN;
  for (const [name, milliseconds] of times)
    if (name === "cloister") cloister = convert(milliseconds);
    else peers[name] = convert(milliseconds);
  return { cloister, peers };
}
