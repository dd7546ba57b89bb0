/**
 * Makes what was committed durable: the write-ahead logs are brought to disk, then copied into the database files as far
 * as no reader needs them. Blocks for as long as the disk takes.
 */
import { closeSync, fdatasyncSync, openSync } from "node:fs";
import Database from "better-sqlite3";
import { errnoNameOf } from "./errors.ts";

export function openForCheckpoints(file: string): Database.Database {
  const connection = new Database(file, { timeout: 0, fileMustExist: true });
  connection.pragma("wal_autocheckpoint = 0");
  return connection;
}

export function checkpoint(connections: readonly Database.Database[]): void {
  for (const connection of connections) syncFile(`${connection.name}-wal`); // durable from here on, whoever still reads
  for (const connection of connections) connection.pragma("wal_checkpoint(PASSIVE)");
}

function syncFile(file: string): void {
  const fd = openIfThere(file);
  if (fd === undefined) return; // nothing was committed since it was opened
  try {
    fdatasyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function openIfThere(file: string): number | undefined {
  try {
    return openSync(file, "r+");
  } catch (error) {
    if (errnoNameOf(error) === "ENOENT") return undefined;
    throw error;
  }
}
