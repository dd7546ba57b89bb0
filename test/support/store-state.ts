/** Random work on a store and what must hold after it, whatever was done and however it ended. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import Database from "better-sqlite3";
import { bytes } from "../../derivations/bytes.ts";
import { hashesEqual, makeSha256, sha256 } from "../../derivations/hash.ts";
import { makeStorePath, type StorePath } from "../../derivations/store-path.ts";
import { hashTree } from "../../sandbox-native/read-tree.ts";
import { addSource, addText } from "../../store/add.ts";
import { commitOutputs } from "../../store/commit-outputs.ts";
import { collectGarbage } from "../../store/gc.ts";
import { addPermanentRoot } from "../../store/gc-roots.ts";
import type { Store } from "../../store/store.ts";
import { buildRecord, stagedOutput } from "./build-records.ts";
import { makeRandom } from "./random.ts";
import { directoryNar, inPieces, leftInStaging, storeDirectory } from "./temporary-store.ts";

export type WorkKind = "text" | "source" | "bad-source" | "build" | "root" | "unroot" | "collect" | "barrier" | "log";
const kinds: readonly WorkKind[] = [
  "text",
  "source",
  "source",
  "bad-source",
  "build",
  "build",
  "root",
  "unroot",
  "collect",
  "collect",
  "barrier",
  "log",
];

/** Does one thing after another, the same for the same seed on the same store; ends after `count` or never comes back. */
export async function workOn(store: Store, seed: number, count: number): Promise<void> {
  const random = makeRandom(seed);
  const pick = <Item>(items: readonly Item[]): Item | undefined => items[Math.floor(random() * items.length)];
  for (let step = 0; step < count; ++step) {
    const valid = [...store.graph.paths()].sort();
    const references = valid.length === 0 || random() < 0.3 ? [] : [pick(valid) as StorePath];
    const owner = `work ${step}`;
    store.leases.hold(owner, references);
    await doOne(store, pick(kinds) as WorkKind, `${seed}-${step}`, references, random);
    store.leases.release(owner);
  }
}

async function doOne(
  store: Store,
  kind: WorkKind,
  name: string,
  references: readonly StorePath[],
  random: () => number,
): Promise<void> {
  const contents = `${name} ${"x".repeat(Math.floor(random() * 5000))}`;
  switch (kind) {
    case "text":
      await addText(store, "text", bytes(contents), references);
      return;
    case "source":
      await addSource(
        store,
        "source",
        { kind: "source", references },
        inPieces(directoryNar({ a: contents, b: name })),
      );
      return;
    case "bad-source": {
      const cut = inPieces(directoryNar({ a: contents }).subarray(0, -16));
      await addSource(store, "bad", { kind: "source", references }, cut).then(
        () => Promise.reject(new Error("an archive that was cut short was taken")),
        () => {},
      );
      return;
    }
    case "build": {
      const [out, dev] = ["out", "dev"].map((id) =>
        makeStorePath(storeDirectory, `output:${id}`, sha256(name), `built-${id}`),
      );
      const outputs = [
        await stagedOutput(store, dev as StorePath, {
          outputId: "dev",
          contents,
          references: [...references, out as StorePath],
        }),
        await stagedOutput(store, out as StorePath, { contents: name, references: [out as StorePath] }),
      ];
      const record = buildRecord(`build-${name}`, { startedAtMs: store.nowMs() });
      store.records.insert(record);
      await commitOutputs(store, { record, outputs, releaseViews: [] });
      return;
    }
    case "root":
      if (references[0] !== undefined) await addPermanentRoot(store, `root-${Math.floor(random() * 4)}`, references[0]);
      return;
    case "unroot":
      await store.roots.remove(`root-${Math.floor(random() * 4)}`).catch(() => {}); // there may be none of that name
      return;
    case "collect":
      await collectGarbage(store, { dryRun: false });
      return;
    case "barrier":
      await store.barrier.flush();
      return;
    case "log": {
      const log = store.logs.openLog(`log-${name}`);
      log.write(bytes(contents));
      log.close();
      return;
    }
    default:
      kind satisfies never;
  }
}

/** What is wrong with an open store on which nothing is under way: empty if all that must hold does. */
export async function findProblems(store: Store): Promise<string[]> {
  const problems: string[] = [];
  const { layout } = store;
  await store.whenBelieved([...store.graph.paths()]);
  for (const path of store.graph.paths()) {
    const info = store.findPathInfo(path);
    if (info === undefined) {
      problems.push(`${path} is in the graph and has no row`);
      continue;
    }
    try {
      const { narHash, narSize } = await hashTree(layout.realPath(path));
      if (!hashesEqual(makeSha256(narHash), info.narHash))
        problems.push(`${path} hashes to something else than its row says`);
      if (narSize !== info.narSize) problems.push(`${path} has another size than its row says`);
    } catch (error) {
      problems.push(`${path} cannot be read: ${String(error)}`);
    }
    for (const reference of info.references)
      if (!store.graph.has(reference)) problems.push(`${path} refers to ${reference}, which is not valid`);
  }
  for (let attempt = 0; attempt < 100 && leftInStaging(store).length > 0; ++attempt) await sleep(10); // removed some time soon
  for (const name of leftInStaging(store)) problems.push(`${name} was left in staging or trash`);
  for (const name of readdirSync(layout.rootsDirectory))
    if (name.startsWith(".")) problems.push(`${name} was left in gcroots`);
  for (const record of store.records.list({ limit: 1_000_000 }))
    if (record.status === "building" || record.status === "sealing")
      problems.push(`record ${record.id} is ${record.status}`);
  problems.push(...findTableProblems(join(layout.databaseDirectory, "db.sqlite"), store));
  return problems;
}

/** The resident index against the tables. */
function findTableProblems(file: string, store: Store): string[] {
  const database = new Database(file, { readonly: true });
  try {
    const problems: string[] = [];
    if (database.pragma("integrity_check", { simple: true }) !== "ok") problems.push("the database is damaged");
    if ((database.pragma("foreign_key_check") as unknown[]).length > 0) problems.push("a foreign key points nowhere");
    const paths = new Set(database.prepare("select path from ValidPaths").pluck().all());
    if (paths.size !== store.graph.size)
      problems.push(`${paths.size} rows, but ${store.graph.size} paths in the graph`);
    for (const path of store.graph.paths())
      if (!paths.has(`${store.directory}/${path}`)) problems.push(`${path} is in the graph alone`);
    const edges = database.prepare("select count(*) from Refs").pluck().get();
    let known = 0;
    for (const path of store.graph.paths()) known += store.graph.references(path).length;
    if (edges !== known) problems.push(`${edges} references in the tables, but ${known} in the graph`);
    return problems;
  } finally {
    database.close();
  }
}
