/** The tables are Nix's, and so is what stands in them. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { expect, test } from "vitest";
import { bytes } from "../../../derivations/bytes.ts";
import { printHash } from "../../../derivations/hash.ts";
import { parseStorePath } from "../../../derivations/store-path.ts";
import { addText, addToStore } from "../../../store/add.ts";
import { openDatabases } from "../../../store/database.ts";
import { fileNar, inPieces, TemporaryStore, temporaryStore } from "../../support/temporary-store.ts";

/** Source: Nix libstore/schema.sql. */
const nixColumns = {
  ValidPaths: ["id", "path", "hash", "registrationTime", "deriver", "narSize", "ultimate", "sigs", "ca"],
  Refs: ["referrer", "reference"],
  DerivationOutputs: ["drv", "id", "path"],
  SchemaMigrations: ["migration"],
};

test("tables, indexes and trigger are those of Nix's schema 10", async () => {
  await using temporary = await temporaryStore();
  const { databaseDirectory } = temporary.store.layout;
  expect(readFileSync(join(databaseDirectory, "schema"), "utf8")).toBe("10");
  using database = openReadOnly(join(databaseDirectory, "db.sqlite"));
  for (const [table, columns] of Object.entries(nixColumns))
    expect(database.pragma(`table_info(${table})`)).toMatchObject(columns.map((name) => ({ name })));
  const names = database.prepare(
    "select name from sqlite_schema where type in ('index', 'trigger') and sql is not null",
  );
  expect(names.pluck().all().sort()).toEqual([
    "DeleteSelfRefs",
    "IndexDerivationOutputs",
    "IndexReference",
    "IndexReferrer",
  ]);
});

test("a row says what Nix's would: full paths, base-16 hash, null for what is not known", async () => {
  await using temporary = await temporaryStore();
  const { store } = temporary;
  const reference = await addText(store, "reference", bytes("r"), []);
  const path = parseStorePath("11111111111111111111111111111111-x");
  const deriver = parseStorePath("22222222222222222222222222222222-x.drv");
  const info = await addToStore(
    store,
    { path, references: new Set([path, reference]), deriver, ultimate: true, signatures: ["a:1", "b:2"] },
    inPieces(fileNar("hello")),
  );
  using database = openReadOnly(join(store.layout.databaseDirectory, "db.sqlite"));
  const rows = database.prepare("select * from ValidPaths order by id").all();
  expect(rows).toMatchObject([
    {
      path: `/cloister/store/${reference}`,
      deriver: null,
      ultimate: null,
      sigs: null,
      ca: expect.stringMatching(/^text:sha256:/),
    },
    {
      path: `/cloister/store/${path}`,
      hash: printHash(info.narHash, "base16"),
      narSize: 120,
      registrationTime: info.registeredAtSeconds,
      deriver: `/cloister/store/${deriver}`,
      ultimate: 1,
      sigs: "a:1 b:2",
      ca: null,
    },
  ]);
  expect(database.prepare("select referrer, reference from Refs order by reference").raw().all()).toEqual([
    [2, 1],
    [2, 2],
  ]);
});

test("a path that is referred to cannot be deleted from the tables, one that refers to itself can", async () => {
  await using temporary = await temporaryStore();
  const { store } = temporary;
  const a = await addText(store, "a", bytes("a"), []);
  const b = await addText(store, "b", bytes("b"), [a]);
  expect(() => store.paths.transaction(() => store.paths.deleteRow(a))).toThrow(/FOREIGN KEY/);
  const self = parseStorePath("11111111111111111111111111111111-x");
  const known = { path: self, references: new Set([self]), ultimate: false, signatures: [] };
  await addToStore(store, known, inPieces(fileNar("x")));
  store.paths.invalidate([self, b, a]);
  expect(store.graph.size).toBe(0);
});

test("a store of another schema is left alone", () => {
  for (const found of ["7", "11", "rubbish"]) {
    const directory = mkdtempSync(join(tmpdir(), "cloister-db-"));
    try {
      writeFileSync(join(directory, "schema"), found);
      expect(() => openDatabases(directory)).toThrow(expect.objectContaining({ code: "STORE_SCHEMA_UNKNOWN" }));
      expect(existsSync(join(directory, "db.sqlite"))).toBe(false);
    } finally {
      rmSync(directory, { recursive: true });
    }
  }
});

test("a file that is no database says so, with its name", async () => {
  await using temporary = new TemporaryStore();
  await temporary.open();
  const file = join(temporary.store.layout.databaseDirectory, "db.sqlite");
  await temporary.close();
  writeFileSync(file, "this is not a database, and long enough for its header to be looked at ".repeat(100));
  await expect(temporary.open()).rejects.toMatchObject({ code: "STORE_DATABASE_UNUSABLE", details: { file } });
});

test("what another program writes into Nix's tables is seen", async () => {
  await using temporary = await temporaryStore();
  const { store } = temporary;
  const a = await addText(store, "a", bytes("a"), []);
  const other = new Database(join(store.layout.databaseDirectory, "db.sqlite"));
  other.pragma("foreign_keys = ON");
  other
    .prepare("insert into ValidPaths (path, hash, registrationTime) values (?, ?, 1)")
    .run("/cloister/store/33333333333333333333333333333333-foreign", `sha256:${"0".repeat(64)}`);
  other.close();
  await addText(store, "b", bytes("b"), [a]); // looks before it writes
  expect(store.graph.has(parseStorePath("33333333333333333333333333333333-foreign"))).toBe(true);
  expect(store.graph.size).toBe(3);
});

test("our own barriers do not look like another program's writes", async () => {
  await using temporary = await temporaryStore();
  const { store } = temporary;
  let loads = 0;
  const load = store.paths.load.bind(store.paths);
  store.paths.load = () => {
    ++loads;
    load();
  };
  for (let index = 0; index < 3; ++index) {
    await addText(store, `t${index}`, bytes("x"), []);
    await store.barrier.flush();
  }
  expect(loads).toBe(0);
});

test("while another program writes, a registration waits and is done then", async () => {
  await using temporary = await temporaryStore();
  const { store } = temporary;
  const other = new Database(join(store.layout.databaseDirectory, "db.sqlite"));
  other.exec("begin immediate");
  let isDone = false;
  const adding = addText(store, "a", bytes("a"), []).then(() => {
    isDone = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 60));
  expect(isDone).toBe(false);
  other.exec("rollback");
  other.close();
  await adding;
  expect(store.graph.size).toBe(1);
});

test("sqlite's own check finds nothing wrong after all this", async ({ skip }) => {
  await using temporary = await temporaryStore();
  await addText(temporary.store, "a", bytes("a"), []);
  const file = join(temporary.store.layout.databaseDirectory, "db.sqlite");
  await temporary.close();
  let answer = "";
  try {
    answer = execFileSync("sqlite3", [file, "pragma integrity_check; pragma foreign_key_check;"]).toString();
  } catch {
    skip("needs sqlite3");
  }
  expect(answer.trim()).toBe("ok");
});

function openReadOnly(file: string): Database.Database & Disposable {
  const database = new Database(file, { readonly: true });
  return Object.assign(database, { [Symbol.dispose]: () => void database.close() });
}
