/** The store through a warm connection: adding big and many files, path info, valid paths. */
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { dumpTree } from "../../sandbox-native/read-tree.ts";
import { collect } from "../support/collect.ts";
import type { Subject } from "./subjects.ts";
import type { Suite } from "./suite.ts";
import { interleaved, split } from "./timing.ts";

export const storeSuite: Suite = async (context) => {
  const { smoke, subjects, temporary } = context;
  const megabytes = smoke ? 8 : 256;
  let serial = 0;
  const nextName = async (): Promise<string> => {
    serial += 1;
    return `object-${serial}`;
  };

  // A new name each time, so that the object is never there already.
  const big = join(temporary, "big");
  writeFileSync(big, randomBytes(megabytes << 20));
  const bigArchive = await collect(dumpTree(big));
  const addBig = await interleaved(subjects, smoke ? 1 : 3, nextName, (subject, name) =>
    subject.addSource(name, bigArchive),
  );
  context.report({
    suite: "store",
    row: `add a file of ${megabytes} MiB`,
    unit: "MiB/s",
    better: "more",
    ref: hashingSpeed(bigArchive, megabytes),
    against: "ref",
    goal: 0.65,
    ...split(addBig, (milliseconds) => (megabytes * 1000) / milliseconds),
  });

  const files = smoke ? 500 : 20_000;
  const treeArchive = await collect(dumpTree(writeManyFiles(join(temporary, "tree"), files)));
  const addTree = await interleaved(subjects, smoke ? 1 : 3, nextName, (subject, name) =>
    subject.addSource(name, treeArchive),
  );
  context.report({
    suite: "store",
    row: `add a tree of ${files} files of 2 KiB`,
    unit: "files/s",
    better: "more",
    goal: 2,
    ...split(addTree, (milliseconds) => (files * 1000) / milliseconds),
  });

  const paths = new Map<string, string[]>();
  for (const subject of subjects) paths.set(subject.name, await addTexts(subject, smoke ? 100 : 4000));
  const of = (subject: Subject): string[] => paths.get(subject.name) as string[];
  const questions = smoke ? 200 : 4000;
  const perSecond = (milliseconds: number): number => (questions * 1000) / milliseconds;

  const oneByOne = await interleaved(
    subjects,
    smoke ? 1 : 5,
    async () => undefined,
    async (subject) => {
      const all = of(subject);
      for (let index = 0; index < questions; index += 1) await subject.pathInfo(all[index % all.length] as string);
    },
  );
  context.report({
    suite: "store",
    row: "path info, one at a time",
    unit: "per s",
    better: "more",
    goal: 1,
    ...split(oneByOne, perSecond),
  });

  const pipelined = await interleaved(
    subjects.filter((subject) => subject.name === "cloister"),
    smoke ? 1 : 5,
    async () => undefined,
    async (subject) => {
      const all = of(subject);
      // The peers' protocol has no request ids: their best is one at a time.
      for (let start = 0; start < questions; start += 100)
        await Promise.all(
          Array.from({ length: 100 }, (_, index) => subject.pathInfo(all[(start + index) % all.length] as string)),
        );
    },
  );
  context.report({
    suite: "store",
    row: "path info, pipelined (peers: one at a time)",
    unit: "per s",
    better: "more",
    goal: 5,
    cloister: split(pipelined, perSecond).cloister,
    peers: split(oneByOne, perSecond).peers,
  });

  const valid = await interleaved(
    subjects,
    smoke ? 2 : 20,
    async (subject) => of(subject),
    (subject, all) => subject.validPaths(all),
  );
  context.report({
    suite: "store",
    row: `${smoke ? 100 : 4000} valid-path checks in one call`,
    unit: "ms",
    better: "less",
    goal: 2,
    ...split(valid),
  });
};

async function addTexts(subject: Subject, count: number): Promise<string[]> {
  const paths: string[] = [];
  for (let index = 0; index < count; index += 1)
    paths.push(await subject.addText(`text-${index}`, Buffer.from(`${index}\n`), []));
  return paths;
}

function writeManyFiles(directory: string, count: number): string {
  for (let index = 0; index < count; index += 1) {
    const folder = join(directory, `d${Math.floor(index / 100)}`);
    if (index % 100 === 0) mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `f${index}`), randomBytes(2048));
  }
  return directory;
}

/** MiB/s of SHA-256 in one thread over the same bytes. */
function hashingSpeed(archive: readonly Uint8Array[], megabytes: number): number {
  const start = performance.now();
  const hash = createHash("sha256");
  for (const piece of archive) hash.update(piece);
  hash.digest();
  return (megabytes * 1000) / (performance.now() - start);
}
