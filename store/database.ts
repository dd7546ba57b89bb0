/**
 * The store's two databases. Opened in WAL mode, written by this process's main thread alone; no checkpoint ever runs in
 * a commit (checkpoint-worker.ts does them), and nothing waits in SQLite's busy handler: who finds another program
 * writing tries again later.
 */
import { closeSync, fsyncSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import { cloisterMigrations } from "./cloister-schema.ts";
import { nameDiskFull, reasonOf, StoreError } from "./errors.ts";
import { nixSchema, nixSchemaNumber } from "./nix-schema.ts";

export type Connection = Database.Database;

export interface Databases extends Disposable {
  /** Nix's tables. */
  readonly paths: Connection;
  /** Our own. */
  readonly own: Connection;
}

/** Opens both, and makes them where they are not there. Throws STORE_SCHEMA_UNKNOWN, STORE_DATABASE_UNUSABLE, STORE_DISK_FULL. */
export function openDatabases(directory: string): Databases {
  checkSchemaNumber(join(directory, "schema"));
  const paths = openOne(join(directory, pathsFile), (connection) => {
    if (!hasTable(connection, "SchemaMigrations")) connection.transaction(() => connection.exec(nixSchema)).immediate();
  });
  try {
    const own = openOne(join(directory, ownFile), migrate);
    syncDirectory(directory); // neither file may be lost without the other when the machine crashes
    return {
      paths,
      own,
      [Symbol.dispose]: () => {
        paths.close();
        own.close();
      },
    };
  } catch (error) {
    paths.close();
    throw error;
  }
}

export const pathsFile = "db.sqlite";
export const ownFile = "cloister.sqlite";

/** The settings of each connection, whoever opens it. */
export function setPragmas(connection: Connection): void {
  connection.pragma("journal_mode = WAL");
  connection.pragma("synchronous = NORMAL");
  connection.pragma("foreign_keys = ON");
  connection.pragma("wal_autocheckpoint = 0");
}

/**
 * Runs a write, and again while another program holds the database, for some seconds: the waiting is done here, so that
 * the main thread is free. Throws STORE_DATABASE_UNUSABLE, STORE_DISK_FULL, and what `write` throws of its own.
 */
export async function whenNotBusy<Result>(connection: Connection, write: () => Result): Promise<Result> {
  for (let attempt = 1; ; ++attempt) {
    try {
      return write();
    } catch (error) {
      if (!isBusy(error) || attempt >= 200) throw nameDatabaseError(error, connection.name);
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }
}

export function nameDatabaseError(error: unknown, file: string): unknown {
  const named = nameDiskFull(error, file, "the database");
  if (named !== error || !(error instanceof Database.SqliteError)) return named;
  return new StoreError(
    "STORE_DATABASE_UNUSABLE",
    { file, reason: `${reasonOf(error)} (${error.code})` },
    { cause: error },
  );
}

function openOne(file: string, prepare: (connection: Connection) => void): Connection {
  let connection: Connection | undefined;
  try {
    connection = new Database(file, { timeout: 0 });
    setPragmas(connection);
    prepare(connection);
    return connection;
  } catch (error) {
    connection?.close();
    throw nameDatabaseError(error, file);
  }
}

function hasTable(connection: Connection, name: string): boolean {
  return connection.prepare("select 1 from sqlite_schema where type = 'table' and name = ?").get(name) !== undefined;
}

function migrate(connection: Connection): void {
  const applied = Number(connection.pragma("user_version", { simple: true }));
  if (applied > cloisterMigrations.length)
    throw new StoreError("STORE_SCHEMA_UNKNOWN", {
      file: connection.name,
      found: String(applied),
      known: cloisterMigrations.length,
    });
  for (const [index, sql] of cloisterMigrations.entries()) {
    if (index < applied) continue;
    const apply = () => {
      connection.exec(sql);
      connection.pragma(`user_version = ${index + 1}`);
    };
    connection.transaction(apply).immediate();
  }
}

function checkSchemaNumber(file: string): void {
  let found: string;
  try {
    found = readFileSync(file, "utf8");
  } catch {
    writeDurably(file, String(nixSchemaNumber)); // a new store; where it cannot be written, this says why
    return;
  }
  if (found.trim() !== String(nixSchemaNumber))
    throw new StoreError("STORE_SCHEMA_UNKNOWN", { file, found: found.trim(), known: nixSchemaNumber });
}

function writeDurably(file: string, text: string): void {
  try {
    const fd = openSync(file, "w", 0o644);
    try {
      writeFileSync(fd, text);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw nameDiskFull(error, file, "the schema's number");
  }
}

function syncDirectory(directory: string): void {
  const fd = openSync(directory, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function isBusy(error: unknown): boolean {
  return (
    error instanceof Database.SqliteError && (error.code === "SQLITE_BUSY" || error.code === "SQLITE_BUSY_SNAPSHOT")
  );
}
