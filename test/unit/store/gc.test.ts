/** Garbage: what nothing keeps goes, what a root, a lease or a running request keeps stays, and never is a build stopped. */
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { bytes } from "../../../derivations/bytes.ts";
import { parseStorePath, type StorePath } from "../../../derivations/store-path.ts";
import { addText } from "../../../store/add.ts";
import { moveAside } from "../../../store/commit-outputs.ts";
import { collectGarbage } from "../../../store/gc.ts";
import { addIndirectRoot, addPermanentRoot, listRoots } from "../../../store/gc-roots.ts";
import type { Store } from "../../../store/store.ts";
import { fileNar, inPieces, temporaryStore } from "../../support/temporary-store.ts";

const everything = { dryRun: false };

/** a ← b ← c, and d alone. */
async function addChain(store: Store) {
  const a = await addText(store, "a", bytes("a"), []);
  const b = await addText(store, "b", bytes("b"), [a]);
  const c = await addText(store, "c", bytes("c"), [b]);
  const d = await addText(store, "d", bytes("d"), []);
  return { a, b, c, d };
}

test("without roots all goes, referrers first, from disk and database", async () => {
  await using temporary = await temporaryStore();
  const { store } = temporary;
  const { a, b, c, d } = await addChain(store);
  const result = await collectGarbage(store, everything);
  expect(new Set(result.deleted)).toEqual(new Set([a, b, c, d]));
  expect(result.deleted.indexOf(c)).toBeLessThan(result.deleted.indexOf(b));
  expect(result.deleted.indexOf(b)).toBeLessThan(result.deleted.indexOf(a));
  expect(result).toMatchObject({ alive: 0, freedBytes: 4n });
  expect(temporary.onDisk()).toEqual([]);
  await temporary.close();
  expect((await temporary.open()).graph.size).toBe(0);
});

test("permanent roots, indirect roots, profiles and leases keep their closures", async () => {
  for (const keep of ["permanent", "indirect", "profile", "lease"] as const) {
    await using temporary = await temporaryStore();
    const { store } = temporary;
    const { a, b, c, d } = await addChain(store);
    const link = join(temporary.root, "result");
    if (keep === "permanent") await addPermanentRoot(store, "mine", b);
    if (keep === "lease") store.leases.hold("connection 1", [b]);
    if (keep === "profile") {
      mkdirSync(join(store.layout.profilesDirectory, "per-user/ada"), { recursive: true });
      symlinkSync(
        join(store.layout.realPath(b), "bin"),
        join(store.layout.profilesDirectory, "per-user/ada/default-1-link"),
      );
    }
    if (keep === "indirect") {
      symlinkSync(store.layout.realPath(b), link);
      await addIndirectRoot(store, link, b);
    }
    const result = await collectGarbage(store, everything);
    expect([keep, new Set(result.deleted)]).toEqual([keep, new Set([c, d])]);
    expect(temporary.onDisk()).toEqual([a, b].sort());

    if (keep === "permanent") await store.roots.remove("mine");
    if (keep === "lease") store.leases.release("connection 1");
    if (keep === "profile") rmSync(join(store.layout.profilesDirectory, "per-user"), { recursive: true });
    if (keep === "indirect") rmSync(link);
    expect((await collectGarbage(store, everything)).alive).toBe(0);
    expect((await listRoots(store)).length).toBe(0);
  }
});

test("a dry run says what would go and touches nothing", async () => {
  await using temporary = await temporaryStore();
  const { store } = temporary;
  const { a, b, c, d } = await addChain(store);
  await addPermanentRoot(store, "mine", a);
  const result = await collectGarbage(store, { dryRun: true });
  expect(new Set(result.deleted)).toEqual(new Set([b, c, d]));
  expect(result.alive).toBe(1);
  expect(store.graph.size).toBe(4);
  expect(temporary.onDisk().length).toBe(4);
});

test("it stops once more than the wanted bytes are freed", async () => {
  await using temporary = await temporaryStore();
  const { store } = temporary;
  for (let index = 0; index < 10; ++index) await addText(store, `t${index}`, bytes(`${index}`.repeat(1000)), []);
  const result = await collectGarbage(store, { dryRun: false, maxFreedBytes: 2500n });
  expect(result.freedBytes).toBeGreaterThan(2500n);
  expect(result.freedBytes).toBeLessThan(6000n);
  expect(store.graph.size).toBe(10 - result.deleted.length);
});

describe("chosen paths", () => {
  test("go if they are dead, and only they", async () => {
    await using temporary = await temporaryStore();
    const { store } = temporary;
    const { a, b, c, d } = await addChain(store);
    const result = await collectGarbage(store, { dryRun: false, paths: [b, c] });
    expect(result.deleted).toEqual([c, b]);
    expect(temporary.onDisk()).toEqual([a, d].sort());
  });

  test("are refused with what keeps them if they are alive, and then none goes", async () => {
    await using temporary = await temporaryStore();
    const { store } = temporary;
    const { a, b, c, d } = await addChain(store);
    await addPermanentRoot(store, "mine", c);
    await expect(collectGarbage(store, { dryRun: false, paths: [d, a] })).rejects.toMatchObject({
      code: "GC_PATH_ALIVE",
      details: { path: a, keptBy: `the root ${join(store.layout.rootsDirectory, "mine")}`, through: [c, b] },
    });
    expect(store.graph.size).toBe(4);
  });

  test("are refused if something that is not chosen refers to them, or if they are not valid", async () => {
    await using temporary = await temporaryStore();
    const { store } = temporary;
    const { a } = await addChain(store);
    await expect(collectGarbage(store, { dryRun: false, paths: [a] })).rejects.toMatchObject({ code: "GC_PATH_ALIVE" });
    const missing = parseStorePath("00000000000000000000000000000000-missing");
    await expect(collectGarbage(store, { dryRun: false, paths: [missing] })).rejects.toMatchObject({
      code: "STORE_PATH_NOT_VALID",
    });
  });
});

test("a path that someone begins to hold after the marking stays, with all it refers to", async () => {
  await using temporary = await temporaryStore();
  const { store } = temporary;
  const { a, b, c, d } = await addChain(store);
  writeFileSync(join(store.layout.realStoreDirectory, "leftover"), "removed after the marking, before the paths");
  temporary.faults.before = (order, detail) => {
    if (order === "remove" && detail === "leftover") store.leases.hold("late", [b]);
  };
  const { deleted } = await collectGarbage(store, everything);
  expect(new Set(deleted)).toEqual(new Set([c, d]));
  expect(temporary.onDisk()).toEqual([a, b].sort());
});

test("a path that something new refers to since the marking stays", async () => {
  await using temporary = await temporaryStore();
  const { store } = temporary;
  const { a, b } = await addChain(store);
  writeFileSync(join(store.layout.realStoreDirectory, "leftover"), "removed after the marking, before the paths");
  let adding: Promise<StorePath> | undefined;
  temporary.faults.before = (order, detail) => {
    if (order === "remove" && detail === "leftover")
      adding = addText(store, "new", bytes("new"), [b], { leaseOwner: "me" });
  };
  await collectGarbage(store, everything);
  const added = await adding;
  expect(temporary.onDisk()).toEqual([a, b, added].sort());
});

test("a path that is added again while it is being deleted is valid and whole afterwards", async () => {
  await using temporary = await temporaryStore();
  const { store } = temporary;
  await addText(store, "a", bytes("a"), []);
  let adding: Promise<StorePath> | undefined;
  const remove = store.writer.remove.bind(store.writer);
  store.writer.remove = async (names) => {
    adding ??= addText(store, "a", bytes("a"), [], { leaseOwner: "me" });
    await sleep(50); // as long as adding would take, if it did not wait for us
    return await remove(names);
  };
  await collectGarbage(store, everything);
  const path = await adding;
  expect(path).toBeDefined();
  expect([...store.graph.paths()]).toEqual([path]);
  expect(temporary.onDisk()).toEqual([path]);
});

test("a path that someone is working on stays, with all it refers to", async () => {
  await using temporary = await temporaryStore();
  const { store } = temporary;
  const { a, b, c, d } = await addChain(store);
  {
    using _lock = await store.locks.acquire([b]);
    expect(new Set((await collectGarbage(store, everything)).deleted)).toEqual(new Set([c, d]));
  }
  expect(temporary.onDisk()).toEqual([a, b].sort());
  expect((await collectGarbage(store, everything)).alive).toBe(0);
});

test("no file is unlinked before its row's deletion is durable: else the row could come back without it", async () => {
  await using temporary = await temporaryStore();
  const { store } = temporary;
  await addChain(store);
  let durableWith = store.graph.size;
  const makeDurable = store.makeDurable.bind(store);
  store.makeDurable = async () => {
    const rows = store.graph.size;
    await makeDurable();
    durableWith = rows;
  };
  temporary.faults.before = (order) => {
    if (order === "remove") expect(durableWith).toBe(0);
  };
  expect((await collectGarbage(store, everything)).alive).toBe(0);
});

test("leftovers in the store directory go; what is not ours to judge stays", async () => {
  await using temporary = await temporaryStore();
  const { store } = temporary;
  const { a } = await addChain(store);
  await addPermanentRoot(store, "mine", a);
  const directory = store.layout.realStoreDirectory;
  writeFileSync(join(directory, "33333333333333333333333333333333-leftover"), "x");
  writeFileSync(join(directory, "no store path"), "x");
  mkdirSync(join(directory, ".links"));
  const { stagingName } = await store.writer.restore(inPieces(fileNar("second")));
  await moveAside(store, stagingName, `${a}.check`);
  expect(temporary.onDisk()).toContain(`${a}.check`);

  await collectGarbage(store, everything);
  expect(temporary.onDisk()).toEqual([".links", a].sort());
});

test("what is being added is neither garbage nor a leftover", async () => {
  await using temporary = await temporaryStore();
  const { store } = temporary;
  let collecting: Promise<unknown> | undefined;
  temporary.faults.before = (order) => {
    if (order === "move") collecting ??= collectGarbage(store, everything);
  };
  const path = await addText(store, "a", bytes("a"), [], { leaseOwner: "me" });
  await collecting;
  expect(store.graph.has(path)).toBe(true);
  expect(temporary.onDisk()).toEqual([path]);
});

test("one collection at a time", async () => {
  await using temporary = await temporaryStore();
  const { store } = temporary;
  await addChain(store);
  const first = collectGarbage(store, everything);
  await expect(collectGarbage(store, everything)).rejects.toMatchObject({ code: "GC_RUNNING" });
  await first;
  await collectGarbage(store, everything);
});

test("it can be cancelled between two rounds", async () => {
  await using temporary = await temporaryStore();
  const { store } = temporary;
  await addChain(store);
  await expect(collectGarbage(store, { dryRun: false, signal: AbortSignal.abort() })).rejects.toThrow();
  expect(store.graph.size).toBe(4);
  await collectGarbage(store, everything);
});
