import { expect, test } from "vitest";
import { buildRecord } from "../../support/build-records.ts";
import { temporaryStore } from "../../support/temporary-store.ts";

test("the newest build of a name that was done is found, in any version, and by the index", async () => {
  await using temporary = await temporaryStore();
  const { records } = temporary.store;
  let count = 0;
  const add = (name: string, status: "done" | "failed" | "cancelled") => {
    const id = `record${count++}`;
    records.insert(buildRecord(id, { name, status, startedAtMs: count }));
    return id;
  };
  const older = add("lib-1.0", "done");
  expect(records.findDone("lib")?.id).toBe(older);
  const newer = add("lib-2.0", "done");
  add("lib-3.0", "failed");
  add("lib-3.1", "cancelled");
  add("lib-doc-4.0", "done");
  add("libx-5.0", "done");
  expect(records.findDone("lib")?.id).toBe(newer);
  const plain = add("lib", "done");
  expect(records.findDone("lib")?.id).toBe(plain);
  expect(records.findDone("li")).toBe(undefined);
});
