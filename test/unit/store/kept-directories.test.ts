import { mkdtempSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { KeptDirectories, type KeptLimits } from "../../../store/kept-directories.ts";

let parent: string;
let directory: string;
let nowMs: number;

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), "cloister-kept-"));
  directory = join(parent, "kept");
  nowMs = Date.now();
});
afterEach(() => rmSync(parent, { recursive: true, force: true }));

const open = (limits: Partial<KeptLimits> = {}) =>
  new KeptDirectories(directory, {
    limits: { most: 3, mostBytes: 100, mostAgeMs: 1000, ...limits },
    nowMs: () => nowMs,
  });

/** The file's time is set, so that an order is there that no clock makes. */
async function keep(kept: KeptDirectories, id: string, size: number, agoMs = 0): Promise<void> {
  await kept.keep(id, async (file) => {
    await file.write(Buffer.alloc(size));
  });
  const seconds = (nowMs - agoMs) / 1000;
  utimesSync(join(directory, `${id}.nar`), seconds, seconds);
}

test("what is kept can be read, and by nobody but its owner", async () => {
  const kept = open();
  expect(await kept.find("a1")).toBeUndefined();
  await keep(kept, "a1", 7);
  const file = await kept.find("a1");
  expect((await file?.readFile())?.length).toBe(7);
  await file?.close();
  expect(statSync(directory).mode & 0o777).toBe(0o700);
  expect(statSync(join(directory, "a1.nar")).mode & 0o777).toBe(0o600);
  for (const id of ["../kept/a1", "", "A1", "a1.nar"]) expect(await kept.find(id), id).toBeUndefined();
});

test("past the number, the size and the age the oldest go", async () => {
  const kept = open();
  for (const [index, id] of ["a", "b", "c"].entries()) await keep(kept, id, 10, 500 - index);
  await keep(kept, "d", 10);
  expect(readdirSync(directory).sort()).toEqual(["b.nar", "c.nar", "d.nar"]);
  await keep(kept, "e", 85);
  await kept.prune();
  expect(readdirSync(directory).sort()).toEqual(["d.nar", "e.nar"]);
  nowMs += 1001;
  await kept.prune();
  expect(readdirSync(directory)).toEqual([]);
});

test("what fails, and what a dead daemon had begun, leaves nothing", async () => {
  const kept = open();
  const failing = kept.keep("f", async (file) => {
    await file.write("half");
    throw new Error("enough");
  });
  await expect(failing).rejects.toThrow("enough");
  expect(readdirSync(directory)).toEqual([]);
  writeFileSync(join(directory, "g.nar.partial"), "half");
  await keep(kept, "h", 1);
  expect(readdirSync(directory)).toEqual(["h.nar"]);
});
