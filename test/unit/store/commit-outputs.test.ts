/** The outputs of a build become valid together, with its record, or not at all. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { hashesEqual, printHash } from "../../../derivations/hash.ts";
import { parseStorePath } from "../../../derivations/store-path.ts";
import { commitOutputs } from "../../../store/commit-outputs.ts";
import { collectGarbage } from "../../../store/gc.ts";
import { buildRecord, someDrv, stagedOutput } from "../../support/build-records.ts";
import { temporaryStore } from "../../support/temporary-store.ts";

const out = parseStorePath("11111111111111111111111111111111-some");
const dev = parseStorePath("22222222222222222222222222222222-some-dev");
const missing = parseStorePath("00000000000000000000000000000000-missing");

test("outputs that refer to each other and to themselves are valid, and the record is done", async () => {
  await using temporary = await temporaryStore();
  const { store } = temporary;
  const outputs = [
    await stagedOutput(store, dev, { outputId: "dev", references: [out, dev] }),
    await stagedOutput(store, out, { references: [out] }),
  ];
  store.records.insert(buildRecord("build-1"));
  await commitOutputs(store, { record: buildRecord("build-1", { exitStatus: 0 }), outputs, releaseViews: [] });

  expect(new Set(store.graph.references(dev))).toEqual(new Set([out, dev]));
  expect(store.findPathInfo(out)).toMatchObject({ deriver: someDrv, ultimate: true });
  const record = store.records.find("build-1");
  expect(record).toMatchObject({ status: "done", exitStatus: 0 });
  expect(record?.outputs.dev).toEqual({
    path: dev,
    narHash: printHash((await stagedOutput(store, dev)).info.narHash, "base32"),
    narSize: Number(outputs[0]?.info.narSize),
  });
  expect(store.records.findByOutput(out)?.id).toBe("build-1");
  expect(temporary.onDisk()).toEqual([out, dev]);
  expect((await collectGarbage(store, { dryRun: false })).deleted).toEqual([dev, out]);
});

test("what is valid already is left as it is, and its second copy is gone", async () => {
  await using temporary = await temporaryStore();
  const { store } = temporary;
  const first = await stagedOutput(store, out, { contents: "first" });
  await commitOutputs(store, { record: buildRecord("build-1"), outputs: [first], releaseViews: [] });
  const second = [
    await stagedOutput(store, out, { contents: "second" }),
    await stagedOutput(store, dev, { outputId: "dev" }),
  ];
  await commitOutputs(store, { record: buildRecord("build-2"), outputs: second, releaseViews: [] });
  expect(readFileSync(store.layout.realPath(out), "utf8")).toBe("first");
  const registered = store.findPathInfo(out);
  expect(registered && hashesEqual(registered.narHash, first.info.narHash)).toBe(true);
  expect(store.graph.has(dev)).toBe(true);
  expect(temporary.leftInStaging()).toEqual([]);
});

test("a circle of outputs and a reference that is not valid are refused, and nothing of it is left", async () => {
  await using temporary = await temporaryStore();
  const { store } = temporary;
  const circle = [
    await stagedOutput(store, dev, { outputId: "dev", references: [out] }),
    await stagedOutput(store, out, { references: [dev] }),
  ];
  await expect(
    commitOutputs(store, { record: buildRecord("build-1"), outputs: circle, releaseViews: [] }),
  ).rejects.toMatchObject({ code: "STORE_REFERENCE_CYCLE", details: { paths: expect.arrayContaining([dev, out]) } });
  const dangling = [await stagedOutput(store, out, { references: [missing] })];
  await expect(
    commitOutputs(store, { record: buildRecord("build-2"), outputs: dangling, releaseViews: [] }),
  ).rejects.toMatchObject({ code: "STORE_REFERENCE_NOT_VALID", details: { path: out, reference: missing } });
  expect(temporary.leftInStaging()).toEqual([]);
  expect(temporary.onDisk()).toEqual([]);
  expect(store.graph.size).toBe(0);
});

test("when one of the outputs cannot be moved none is valid, and none is left", async () => {
  await using temporary = await temporaryStore();
  const { store } = temporary;
  const outputs = [await stagedOutput(store, out), await stagedOutput(store, dev, { outputId: "dev" })];
  temporary.faults.before = (order, detail) => {
    if (order === "move" && detail === dev)
      throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
  };
  await expect(
    commitOutputs(store, { record: buildRecord("build-1"), outputs, releaseViews: [] }),
  ).rejects.toMatchObject({ code: "STORE_DISK_FULL" });
  expect(store.graph.size).toBe(0);
  expect(temporary.onDisk()).toEqual([]);
  expect(temporary.leftInStaging()).toEqual([]);
});

test("many builds that end together are all valid", async () => {
  await using temporary = await temporaryStore();
  const { store } = temporary;
  const digits = "0123456789abcdfghijklmnpqrsvwxyz";
  const paths = [...digits].map((digit) => parseStorePath(`${digit.repeat(32)}-some`));
  await Promise.all(
    paths.map(async (path, index) => {
      const outputs = [await stagedOutput(store, path)];
      await commitOutputs(store, { record: buildRecord(`build-${index}`), outputs, releaseViews: [] });
    }),
  );
  expect(store.graph.size).toBe(32);
  expect(store.records.list({ limit: 100 }).every((record) => record.status === "done")).toBe(true);
});
