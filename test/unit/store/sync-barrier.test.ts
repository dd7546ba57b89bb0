/** What survives the machine. A crash of it is another boot id, and files that are not what was registered. */
import { chmodSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { bytes } from "../../../derivations/bytes.ts";
import { addText } from "../../../store/add.ts";
import { openDatabases } from "../../../store/database.ts";
import { readNar } from "../../../store/read.ts";
import type { Store, StoreNotice } from "../../../store/store.ts";
import { findCoveredState, SyncBarrier } from "../../../store/sync-barrier.ts";
import { collect } from "../../support/collect.ts";
import { TemporaryStore, temporaryStore } from "../../support/temporary-store.ts";

function damage(store: Store, path: Parameters<Store["findPathInfo"]>[0]): void {
  chmodSync(store.layout.realPath(path), 0o644);
  writeFileSync(store.layout.realPath(path), "zeros where data was");
}

/** The process ends without closing anything: what is open goes with it, and the barrier of the closing is not made. */
async function crash(temporary: TemporaryStore): Promise<void> {
  const { store } = temporary;
  store.barrier.flush = async () => {};
  await temporary.close();
}

test("a barrier comes by itself after a registration, and covers it", async () => {
  await using temporary = await temporaryStore({ syncIntervalMs: 5 });
  const { store } = temporary;
  await addText(store, "a", bytes("a"), []);
  for (let attempt = 0; attempt < 500 && store.barrier.coveredId < store.paths.lastId; ++attempt) await sleep(10);
  expect(store.barrier.coveredId).toBe(store.paths.lastId);
});

test("a store that was closed in order is covered as a whole, also for another boot", async () => {
  await using temporary = new TemporaryStore();
  const first = await temporary.open({ bootId: "boot 1" });
  const path = await addText(first, "a", bytes("a"), []);
  damage(first, path); // would be found, if it were looked for
  await temporary.close();
  const second = await temporary.open({ bootId: "boot 2" });
  await second.whenBelieved([path]);
  expect(second.graph.has(path)).toBe(true);
});

test("after a process that was killed in the same boot nothing is hashed again", async () => {
  await using temporary = new TemporaryStore();
  const first = await temporary.open({ bootId: "boot 1" });
  const path = await addText(first, "a", bytes("a"), []);
  damage(first, path); // would be found, if it were looked for
  await crash(temporary);
  const second = await temporary.open({ bootId: "boot 1" });
  await second.whenBelieved([path]);
  expect(second.graph.has(path)).toBe(true);
});

test("after a crash of the machine, what no barrier covered is believed if it is whole, and dropped with its referrers if not", async () => {
  await using temporary = new TemporaryStore();
  const first = await temporary.open({ bootId: "boot 1" });
  const covered = await addText(first, "covered", bytes("covered"), []);
  await first.barrier.flush();
  const whole = await addText(first, "whole", bytes("whole"), [covered]);
  const broken = await addText(first, "broken", bytes("broken"), []);
  const referrer = await addText(first, "referrer", bytes("referrer"), [broken, whole]);
  damage(first, broken);
  damage(first, covered); // not looked at: a barrier promised it
  await crash(temporary);

  const notices: StoreNotice[] = [];
  const second = await temporary.open({ bootId: "boot 2", onNotice: (notice) => notices.push(notice) });
  await expect(collect(readNar(second, broken))).rejects.toMatchObject({ code: "STORE_PATH_NOT_VALID" });
  await second.whenBelieved([whole, referrer]);
  expect([covered, whole, broken, referrer].map((path) => second.graph.has(path))).toEqual([true, true, false, false]);
  expect(temporary.onDisk()).toEqual([covered, whole].sort());
  expect(notices).toMatchObject([{ kind: "path-damaged", path: broken, dropped: [referrer, broken] }]);

  await second.barrier.flush();
  damage(second, whole);
  await crash(temporary);
  const third = await temporary.open({ bootId: "boot 3" });
  await third.whenBelieved([whole]);
  expect(third.graph.has(whole)).toBe(true); // it was looked at once, and a barrier came after that
});

test("a path in doubt whose files are gone is dropped, and can be added again", async () => {
  await using temporary = new TemporaryStore();
  const first = await temporary.open({ bootId: "boot 1" });
  const path = await addText(first, "a", bytes("a"), []);
  await first.writer.remove([path]);
  await crash(temporary);
  const second = await temporary.open({ bootId: "boot 2" });
  await addText(second, "a", bytes("a"), []);
  expect(second.graph.has(path)).toBe(true);
  expect(temporary.onDisk()).toEqual([path]);
});

test("after the store was closed nothing is registered any more, and it says so", async () => {
  await using temporary = await temporaryStore();
  const { store } = temporary;
  const path = await addText(store, "a", bytes("a"), []);
  const late = expect(addText(store, "late", bytes("late"), [path])).rejects.toMatchObject({ code: "STORE_CLOSED" });
  await temporary.close();
  await late;
  const again = await temporary.open();
  expect([...again.graph.paths()]).toEqual([path]);
});

test("as long as something is in doubt, a barrier syncs, but notes nothing down", async () => {
  await using temporary = await temporaryStore();
  const { databaseDirectory } = temporary.store.layout;
  await temporary.close();
  using databases = openDatabases(databaseDirectory);
  const done: string[] = [];
  let lastId = 7;
  const noted = () => findCoveredState(databases.own, { bootId: "unused", coveredId: 0 });
  const before = noted();
  const barrier = new SyncBarrier(
    {
      connection: databases.own,
      bootId: "boot 2",
      intervalMs: 0,
      lastId: () => lastId,
      syncFiles: async () => void done.push("files"),
      makeDurable: async () => void done.push("databases"),
      onFailed: (error) => done.push(String(error)),
    },
    before,
  );
  await barrier.flush();
  expect(noted()).toEqual(before);
  barrier.release();
  const flushing = barrier.flush();
  lastId = 9; // registered while it runs: its files may not have been synced
  await flushing;
  expect(noted()).toEqual({ bootId: "boot 2", coveredId: 7 });
  expect(done).toEqual(["files", "databases", "files", "databases"]);
});

test("a machine that crashes again while things are in doubt leaves them in doubt", async () => {
  await using temporary = new TemporaryStore();
  const first = await temporary.open({ bootId: "boot 1" });
  await addText(first, "a", bytes("a"), []);
  await crash(temporary);
  const second = await temporary.open({ bootId: "boot 2" });
  await second.barrier.flush(); // while it is being hashed
  await crash(temporary);
  const third = await temporary.open({ bootId: "boot 3" });
  await third.whenBelieved([...third.graph.paths()]);
  expect(third.graph.size).toBe(1);
});
