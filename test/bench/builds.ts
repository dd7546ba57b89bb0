/** Builds through a warm connection: alone, many at once, in a chain, with many inputs; and adding a derivation. */
import { measureReference } from "./reference.ts";
import type { Subject } from "./subjects.ts";
import type { Suite } from "./suite.ts";
import { interleaved, split } from "./timing.ts";
import { addTrivialBuild, dumpBusybox, makeTrivialDerivation, type Prepared, prepare } from "./workload.ts";

export const buildsSuite: Suite = async (context) => {
  const { smoke, subjects, temporary } = context;
  const archive = await dumpBusybox(temporary);
  const prepared = new Map<string, Prepared>();
  for (const subject of subjects) prepared.set(subject.name, await prepare(subject, archive, smoke ? 120 : 1200));
  const of = (subject: Subject): Prepared => prepared.get(subject.name) as Prepared;
  const rounds = smoke ? 3 : 40;
  const ref = measureReference(temporary, smoke ? 20 : 300);

  const oneBuild = (times: number) =>
    interleaved(
      subjects,
      times,
      async (subject) => (await addTrivialBuild(of(subject), 10)).drvPath,
      (subject, drvPath) => subject.build([drvPath]),
    );
  const fresh = await oneBuild(smoke ? 2 : 10);
  context.report({
    suite: "builds",
    row: "a trivial build, daemon just started",
    unit: "ms",
    better: "less",
    ref,
    ...split(fresh),
  });
  // Warm is a daemon that has built before: this one's code is compiled as it runs.
  if (!smoke) await oneBuild(150);
  const single = await oneBuild(rounds);
  context.report({
    suite: "builds",
    row: "one trivial build",
    unit: "ms",
    better: "less",
    ref,
    goal: 4,
    ...split(single),
  });
  const { cloister } = split(single);
  context.report({
    suite: "builds",
    row: "one trivial build, against ref",
    unit: "ms",
    better: "less",
    ref,
    against: "ref",
    goal: 0.45, // at most 2.2 times as long
    cloister,
    peers: {},
  });

  const many = smoke ? 10 : 200;
  const independent = await interleaved(
    subjects,
    smoke ? 1 : 3,
    async (subject) => {
      const paths: string[] = [];
      for (let index = 0; index < many; index += 1) paths.push((await addTrivialBuild(of(subject), 10)).drvPath);
      return paths;
    },
    (subject, paths) => subject.build(paths),
  );
  context.report({
    suite: "builds",
    row: `${many} independent builds, 2 jobs`,
    unit: "builds/s",
    better: "more",
    ref: 1000 / ref,
    goal: 5,
    ...split(independent, (milliseconds) => (many * 1000) / milliseconds),
  });

  const length = smoke ? 5 : 20;
  const chain = await interleaved(
    subjects,
    smoke ? 1 : 5,
    async (subject) => {
      let last = await addTrivialBuild(of(subject), 10);
      for (let index = 1; index < length; index += 1) last = await addTrivialBuild(of(subject), 10, last);
      return last.drvPath;
    },
    (subject, drvPath) => subject.build([drvPath]),
  );
  context.report({
    suite: "builds",
    row: `a chain of ${length}, per build`,
    unit: "ms",
    better: "less",
    ref,
    goal: 4,
    ...split(chain, (milliseconds) => milliseconds / length),
  });

  for (const [inputs, goal] of smoke
    ? ([[100, 5]] as const)
    : ([
        [100, 5],
        [1000, 8],
      ] as const)) {
    const times = await interleaved(
      subjects,
      smoke ? 2 : 24,
      async (subject) => (await addTrivialBuild(of(subject), inputs)).drvPath,
      (subject, drvPath) => subject.build([drvPath]),
    );
    context.report({
      suite: "builds",
      row: `a build with ${inputs} inputs`,
      unit: "ms",
      better: "less",
      ref,
      goal,
      ...split(times),
    });
  }

  const adding = await interleaved(
    subjects,
    smoke ? 5 : 200,
    async (subject) => makeTrivialDerivation(of(subject), 10),
    (subject, text) => subject.addText(text.name, text.drv, text.references),
  );
  context.report({ suite: "builds", row: "add a derivation", unit: "ms", better: "less", goal: 2.5, ...split(adding) });
};
