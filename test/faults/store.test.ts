/** The store when the disk is full or the writer fails: an error with a code, and nothing half-done. */
import { rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { bytes } from "../../derivations/bytes.ts";
import { parseStorePath } from "../../derivations/store-path.ts";
import { addSource, addText } from "../../store/add.ts";
import { ballastSize } from "../../store/ballast.ts";
import { commitOutputs } from "../../store/commit-outputs.ts";
import { collectGarbage } from "../../store/gc.ts";
import { addPermanentRoot } from "../../store/gc-roots.ts";
import { buildRecord, stagedOutput } from "../support/build-records.ts";
import type { WriterOrder } from "../support/plain-tree-writer.ts";
import { fillUp, mountSmall } from "../support/small-disk.ts";
import { findProblems } from "../support/store-state.ts";
import { fileNar, inPieces, TemporaryStore, temporaryStore } from "../support/temporary-store.ts";

const source = { kind: "source", references: [] } as const;

test("at 0 bytes free adding says STORE_DISK_FULL, collecting still works, and then adding does", async ({ skip }) => {
  using small = mountSmall(24);
  if (small === undefined) return skip("needs to mount a tmpfs");
  await using temporary = new TemporaryStore(join(small.path, "root"));
  const store = await temporary.open();
  const kept = await addText(store, "kept", bytes("kept"), []);
  await addPermanentRoot(store, "kept", kept);
  const reserved = join(store.layout.databaseDirectory, "reserved");
  expect(statSync(reserved).size).toBe(ballastSize);

  let refused: unknown;
  for (let index = 0; index < 100 && refused === undefined; ++index)
    await addSource(store, `big${index}`, source, inPieces(fileNar(`${index}`.repeat(500_000)), 65536)).catch(
      (error: unknown) => {
        refused = error;
      },
    );
  expect(refused).toMatchObject({ code: "STORE_DISK_FULL" });
  expect(temporary.leftInStaging()).toEqual([]);
  fillUp(small.path);
  await expect(addText(store, "one-more", Buffer.alloc(9000, "x"), [])).rejects.toMatchObject({
    code: "STORE_DISK_FULL",
  });
  expect(await findProblems(store)).toEqual([]);

  const result = await collectGarbage(store, { dryRun: false });
  expect(result.deleted.length).toBeGreaterThan(5);
  expect([...store.graph.paths()]).toEqual([kept]);
  expect(statSync(reserved).size).toBe(ballastSize); // made again from what was freed
  await addSource(store, "fits", source, inPieces(fileNar("fits".repeat(100_000))));
  expect(await findProblems(store)).toEqual([]);
});

test("a store whose disk is full to the last byte is opened all the same, so that it can be collected", async ({
  skip,
}) => {
  using small = mountSmall(24);
  if (small === undefined) return skip("needs to mount a tmpfs");
  await using temporary = new TemporaryStore(join(small.path, "root"));
  const first = await temporary.open();
  await addText(first, "garbage", Buffer.alloc(100_000, "x"), []);
  await temporary.close();
  fillUp(small.path);
  const store = await temporary.open();
  expect((await collectGarbage(store, { dryRun: false })).deleted).toHaveLength(1);
  await temporary.close();

  rmSync(join(store.layout.databaseDirectory, "reserved"), { force: true });
  fillUp(small.path);
  await expect(temporary.open()).rejects.toMatchObject({ code: "STORE_NO_ROOM_TO_OPEN" });
});

test("whatever order of the writer fails, the operation does with its error, and the store is whole", async () => {
  const orders: readonly WriterOrder[] = ["restore", "writeText", "move"];
  for (const failing of orders)
    for (const code of ["ENOSPC", "EIO"]) {
      await using temporary = await temporaryStore();
      const { store } = temporary;
      const first = await addText(store, "first", bytes("first"), []);
      temporary.faults.before = (order) => {
        if (order === failing) throw Object.assign(new Error(`${code}: by the test`), { code });
      };
      const expected = { code: code === "ENOSPC" ? "STORE_DISK_FULL" : "EIO" };
      if (failing !== "restore")
        await expect(addText(store, "text", bytes("x"), [first])).rejects.toMatchObject(expected);
      if (failing !== "writeText")
        await expect(addSource(store, "tree", source, inPieces(fileNar("x")))).rejects.toMatchObject(expected);
      temporary.faults.before = (order) => {
        if (order === failing && failing === "move") throw Object.assign(new Error(`${code}: by the test`), { code });
      };
      if (failing === "move") {
        const path = parseStorePath("11111111111111111111111111111111-some");
        const outputs = [await stagedOutput(store, path, { references: [first] })];
        await expect(
          commitOutputs(store, { record: buildRecord("build-1"), outputs, releaseViews: [] }),
        ).rejects.toMatchObject(expected);
      }
      delete temporary.faults.before;
      expect([...store.graph.paths()]).toEqual([first]);
      expect(temporary.leftInStaging()).toEqual([]);
      expect([...store.leases.paths()]).toEqual([]);
      await addText(store, "text", bytes("x"), [first]);
      expect(store.graph.size).toBe(2);
    }
});

test("a registration that the database refuses leaves no object behind", async () => {
  await using temporary = await temporaryStore();
  const { store } = temporary;
  const register = store.registrar.register.bind(store.registrar);
  const missing = parseStorePath("00000000000000000000000000000000-missing");
  store.registrar.register = (registration) =>
    register({
      ...registration,
      infos: registration.infos.map((info) => ({ ...info, references: new Set([missing]) })),
    });
  await expect(addText(store, "text", bytes("x"), [])).rejects.toMatchObject({ code: "STORE_REFERENCE_NOT_VALID" });
  expect(temporary.onDisk()).toEqual([]);
  expect(temporary.leftInStaging()).toEqual([]);
});
