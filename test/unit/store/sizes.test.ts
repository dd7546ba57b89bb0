/** How much paths and logs take, as the metrics tell it: right at first sight, and after what came and went since. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LogSize } from "../../../store/log-size.ts";
import { StoreSize } from "../../../store/store-size.ts";

describe("valid paths", () => {
  let paths: Database.Database;
  let nowMs = 0;
  const count = () => (paths.prepare("select count(*) as n from ValidPaths").get() as { n: number }).n;
  const add = (from: number, to: number) => {
    const insert = paths.prepare("insert into ValidPaths (id, narSize) values (?, ?)");
    for (let id = from; id <= to; ++id) insert.run(id, id === 1 ? null : 10);
  };
  beforeEach(() => {
    paths = new Database(":memory:");
    paths.exec("create table ValidPaths (id integer primary key, narSize integer)");
  });
  afterEach(() => void paths.close());

  test("more than are read at once, more of them, and fewer", async () => {
    const size = new StoreSize(paths, count, () => nowMs);
    expect(await size.narBytes()).toBe(0);
    add(1, 4500);
    expect(await size.narBytes()).toBe(44_990); // the size of the first one is not known
    add(4501, 4502);
    expect(await size.narBytes()).toBe(45_010);
    paths.exec("delete from ValidPaths where id between 2 and 101");
    expect(await size.narBytes()).toBe(44_010);
    paths.exec("delete from ValidPaths where id = 102");
    expect(await size.narBytes()).toBe(44_010); // summed again a minute later
    nowMs += 60_000;
    expect(await size.narBytes()).toBe(44_000);
  });
});

test("logs are counted where they lie, and what is told of them later counts too", async () => {
  const directory = mkdtempSync(join(tmpdir(), "cloister-log-size-"));
  try {
    const size = new LogSize(join(directory, "builds"));
    size.note({ files: 1, bytes: 5 }); // nobody has asked yet: it will be found
    mkdirSync(join(directory, "builds/ab"), { recursive: true });
    writeFileSync(join(directory, "builds/ab/cd.log"), "hello");
    expect(await size.read()).toEqual({ files: 1, bytes: 5 });
    size.note({ files: 1, bytes: 100 });
    size.note({ files: 0, bytes: -60 });
    expect(await size.read()).toEqual({ files: 2, bytes: 45 });
    expect(await new LogSize(join(directory, "none")).read()).toEqual({ files: 0, bytes: 0 });
  } finally {
    rmSync(directory, { recursive: true });
  }
});
