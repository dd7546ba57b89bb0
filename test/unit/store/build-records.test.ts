/** What can be asked of past builds, and what a start makes of those that were cut off. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { expect, test } from "vitest";
import type { BuildQuery } from "../../../derivations/build-record.ts";
import { bytes } from "../../../derivations/bytes.ts";
import { type Hash, printHash } from "../../../derivations/hash.ts";
import { parseStoreDirectory, parseStorePath, type StorePath } from "../../../derivations/store-path.ts";
import { addText } from "../../../store/add.ts";
import { BuildRecords } from "../../../store/build-records.ts";
import { cloisterMigrations } from "../../../store/cloister-schema.ts";
import { openDatabases } from "../../../store/database.ts";
import { buildRecord, someDrv } from "../../support/build-records.ts";
import { temporaryStore } from "../../support/temporary-store.ts";

const otherDrv = parseStorePath("ffffffffffffffffffffffffffffffff-other.drv");
const out = parseStorePath("11111111111111111111111111111111-some");
const output = { path: out, narHash: "sha256:x", narSize: 1 };

test("records are found by id, derivation, output and name, newest first", async () => {
  await using temporary = await temporaryStore();
  const { records } = temporary.store;
  records.insert(buildRecord("aaa-1", { startedAtMs: 1, status: "done", outputs: { out: output } }));
  records.insert(buildRecord("aaa-2", { startedAtMs: 2, status: "failed" }));
  records.insert(buildRecord("aaa-3", { startedAtMs: 3, drvPath: otherDrv, name: "other%name" }));
  const ids = (text?: string, limit = 10) =>
    records.list({ limit, ...(text !== undefined && { text }) }).map(({ id }) => id);

  expect(ids()).toEqual(["aaa-3", "aaa-2", "aaa-1"]);
  expect(ids(undefined, 2)).toEqual(["aaa-3", "aaa-2"]);
  expect(ids("aaa-2")).toEqual(["aaa-2"]);
  expect(ids(someDrv)).toEqual(["aaa-2", "aaa-1"]);
  expect(ids(`/cloister/store/${someDrv}`)).toEqual(["aaa-2", "aaa-1"]);
  expect(ids(out)).toEqual(["aaa-1"]);
  expect(ids("some-1.0")).toEqual(["aaa-2", "aaa-1"]);
  expect(ids("some")).toEqual(["aaa-2", "aaa-1"]);
  expect(ids("other%name")).toEqual(["aaa-3"]);
  expect(ids("%")).toEqual([]);
  expect(records.find("aaa-1")).toEqual(
    buildRecord("aaa-1", { startedAtMs: 1, status: "done", outputs: { out: output } }),
  );
  expect(records.find("none")).toBeUndefined();
});

test("a build that runs is found like the others, and its outputs are none yet", async () => {
  await using temporary = await temporaryStore();
  const { records } = temporary.store;
  records.insert(buildRecord("ended", { status: "done", outputs: { out: output } }));
  records.insert(buildRecord("running", { outputs: { out: output } }));
  for (const text of [undefined, "some", "some-1.0", someDrv])
    expect(records.list({ limit: 2, ...(text !== undefined && { text }) })).toMatchObject([
      { id: "running", status: "building", outputs: {} },
      { id: "ended", status: "done" },
    ]);
  expect(records.list({ text: out, limit: 2 })).toMatchObject([{ id: "ended" }]);
  expect(records.list({ limit: 1 })).toMatchObject([{ id: "running" }]);
  records.update(buildRecord("running", { status: "cancelled" }));
  expect(records.list({ limit: 2 })).toMatchObject([{ id: "running", status: "cancelled" }, { id: "ended" }]);
});

test("records of the first schema are kept, those of builds that were cut off as well", () => {
  const directory = mkdtempSync(join(tmpdir(), "cloister-records-"));
  try {
    const old = new Database(join(directory, "cloister.sqlite"));
    old.exec(cloisterMigrations[0] as string);
    old.pragma("user_version = 1");
    const insert = old.prepare("insert into BuildRecords values (?, ?, 'some-1.0', ?, ?, ?)");
    for (const [id, status, startedAtMs] of [
      ["later", "done", 3],
      ["cut-off", "building", 2],
      ["first", "failed", 1],
    ] as const) {
      const record = buildRecord(id, { status, startedAtMs, outputs: status === "done" ? { out: output } : {} });
      insert.run(id, someDrv, status, startedAtMs, JSON.stringify(record));
    }
    old.exec(`insert into BuildRecordOutputs values ('${out}', 'later')`);
    old.close();

    using databases = openDatabases(directory);
    const records = new BuildRecords(databases.own, parseStoreDirectory("/cloister/store"));
    records.reconcile({ describe: () => undefined, findLogFile: () => undefined }, 5000);
    records.insert(buildRecord("new", { status: "done" }));
    expect(records.list({ limit: 10 }).map(({ id, status }) => [id, status])).toEqual([
      ["new", "done"],
      ["later", "done"],
      ["first", "failed"],
      ["cut-off", "failed"],
    ]);
    expect(records.findByOutput(out)?.id).toBe("later");
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("after a start, a build that was sealing is done if its outputs are valid, and every other one has failed", async () => {
  await using temporary = await temporaryStore();
  const first = temporary.store;
  const valid = await addText(first, "valid", bytes("x"), []);
  first.records.insert(buildRecord("running"));
  first.records.writeSealing(
    buildRecord("came-so-far", { status: "done", outputs: { out: { ...output, path: valid } } }),
  );
  first.records.writeSealing(buildRecord("did-not", { status: "done", outputs: { out: output } }));
  first.records.insert(buildRecord("long-ago", { status: "cancelled" }));
  expect(first.records.find("did-not")).toMatchObject({ status: "sealing", outputs: {} });

  await temporary.close();
  const { records } = await temporary.open({ clock: () => 5000 });
  expect(records.find("came-so-far")).toMatchObject({ status: "done", outputs: { out: { path: valid } } });
  for (const id of ["running", "did-not"])
    expect(records.find(id)).toMatchObject({
      status: "failed",
      outputs: {},
      stoppedAtMs: 5000,
      error: { code: "STORE_BUILD_INTERRUPTED", details: { name: "some-1.0" } },
    });
  expect(records.find("long-ago")?.status).toBe("cancelled");
  expect(records.findByOutput(out)).toBeUndefined();
});

test("a build that was cut off between its registration and its record is done, with what is known of its outputs", async () => {
  await using temporary = await temporaryStore();
  const first = temporary.store;
  const valid = await addText(first, "valid", bytes("x"), []);
  const planned = (path: StorePath) => ({ out: { path, narHash: "", narSize: 0 } });
  first.records.insert(buildRecord("registered", { outputs: planned(valid) }));
  first.records.insert(buildRecord("not-yet", { outputs: planned(out) }));
  expect(first.records.find("registered")).toMatchObject({ status: "building", outputs: {} });

  await temporary.close();
  const { records, paths } = await temporary.open({ clock: () => 5000 });
  const narHash = printHash(paths.find(valid)?.narHash as Hash, "base32");
  expect(records.find("registered")).toMatchObject({
    status: "done",
    exitStatus: 0,
    stoppedAtMs: 5000,
    outputs: { out: { path: valid, narHash } },
  });
  expect(records.findByOutput(valid)?.id).toBe("registered");
  expect(records.find("not-yet")).toMatchObject({ status: "failed", error: { code: "STORE_BUILD_INTERRUPTED" } });
});

test("what is finished is read as finished at once, and stays so", async () => {
  await using temporary = await temporaryStore();
  const { records } = temporary.store;
  records.writeSealing(buildRecord("one", { status: "done", outputs: { out: output } }));
  records.finish(buildRecord("one", { status: "done", exitStatus: 0, outputs: { out: output } }), () => {});
  expect(records.find("one")).toMatchObject({ status: "done", exitStatus: 0 });
  records.insert(buildRecord("two"));
  records.finish(buildRecord("two", { status: "done", outputs: {} }), () => {});
  await temporary.close();
  expect((await temporary.open()).records.find("two")?.status).toBe("done");
});

test("records are found by how they stand, who asked, and when they started; what an answer left out comes next", async () => {
  await using temporary = await temporaryStore();
  const { records } = temporary.store;
  for (let at = 1; at <= 6; at += 1)
    records.insert(
      buildRecord(`id-${at}`, {
        startedAtMs: at * 1000,
        status: at % 2 === 0 ? "failed" : "done",
        ...(at > 2 && { user: { uid: at > 4 ? 1001 : 1000 } }),
      }),
    );
  records.insert(buildRecord("runs", { startedAtMs: 7000, user: { uid: 1000 } }));
  const ids = (query: Partial<BuildQuery>) => records.list({ limit: 10, ...query }).map(({ id }) => id);
  expect(ids({ status: "failed" })).toEqual(["id-6", "id-4", "id-2"]);
  expect(ids({ status: "done", limit: 2 })).toEqual(["id-5", "id-3"]);
  expect(ids({ status: "building" })).toEqual(["runs"]);
  expect(ids({ uid: 1000 })).toEqual(["runs", "id-4", "id-3"]);
  expect(ids({ uid: 7 })).toEqual([]);
  expect(ids({ sinceMs: 5000 })).toEqual(["runs", "id-6", "id-5"]);
  expect(ids({ untilMs: 2000 })).toEqual(["id-2", "id-1"]);
  expect(ids({ sinceMs: 2500, untilMs: 4500, status: "failed", text: "some" })).toEqual(["id-4"]);
  expect(ids({ sinceMs: 9000 })).toEqual([]);
  expect(ids({ untilMs: 500 })).toEqual([]);
  expect(ids({ beforeId: "id-3" })).toEqual(["id-2", "id-1"]);
  expect(ids({ beforeId: "runs", limit: 1 })).toEqual(["id-6"]);
  expect(ids({ beforeId: "nobody" })).toEqual([]);
});

test("what ends while the disk is full is found as it was, and written when there is room", () => {
  const directory = mkdtempSync(join(tmpdir(), "cloister-records-"));
  try {
    using databases = openDatabases(directory);
    const records = new BuildRecords(databases.own, parseStoreDirectory("/cloister/store"));
    const command = ["x".repeat(50_000)];
    const ids = ["aaa-1", "aaa-2", "aaa-3"];
    for (const id of ids) records.insert(buildRecord(id, { command }));
    const failures: unknown[] = [];
    databases.own.pragma(`max_page_count = ${databases.own.pragma("page_count", { simple: true })}`);
    const grown = ["y".repeat(500_000)];
    for (const id of ids)
      records.finish(buildRecord(id, { status: "done", command: grown }), (error) => failures.push(error));
    expect(() => records.flush()).toThrow(expect.objectContaining({ code: "STORE_DISK_FULL" }));
    expect(records.list({ limit: 9 }).map(({ status }) => status)).toEqual(["building", "building", "building"]);
    expect(records.find("aaa-2")?.status).toBe("building");
    databases.own.pragma("max_page_count = 1000000");
    expect(records.list({ limit: 9 }).map(({ id, status }) => [id, status])).toEqual([
      ["aaa-3", "done"],
      ["aaa-2", "done"],
      ["aaa-1", "done"],
    ]);
    expect(failures).toEqual([]);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("what was said to be done and then was not is written once, and keeps no other from being written", async () => {
  await using temporary = await temporaryStore();
  const { records } = temporary.store;
  for (const id of ["aaa-1", "aaa-2"]) records.insert(buildRecord(id));
  for (const id of ["aaa-1", "aaa-2"]) records.finish(buildRecord(id, { status: "done" }), () => undefined);
  records.update(buildRecord("aaa-1", { status: "failed" }));
  expect(records.list({ limit: 9 }).map(({ id, status }) => [id, status])).toEqual([
    ["aaa-2", "done"],
    ["aaa-1", "failed"],
  ]);
});
