/**
 * Who was refused what, and who did what only the trusted may: a file of its own, one JSON object a line, each there
 * before the operation begins. It is bounded, and a client that is refused again and again cannot make it lose the rest.
 */
import { chmodSync, closeSync, fdatasync, fstatSync, mkdirSync, openSync, renameSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import type { Caller } from "../api/service.ts";
import { errorFields, type Logger } from "./logger.ts";

export interface AuditEntry {
  readonly outcome: "refused" | "allowed";
  /** A method, or "connect". */
  readonly operation: string;
  readonly caller: Pick<Caller, "uid" | "gid" | "pid">;
  /** What was asked for, or why it was refused. */
  readonly details?: Readonly<Record<string, unknown>>;
}

export interface AuditLogOptions {
  readonly file: string;
  readonly log: Logger;
  /** In milliseconds since 1970. */
  readonly now?: () => number;
  readonly limitBytes?: number;
}

/** Of a file; as many older ones are kept as `olderFiles`. */
const defaultLimitBytes = 4 * 1024 * 1024;
const olderFiles = 4;
const lineLimitBytes = 2048;
/** Of refusals of one user for one operation only the first in such a while is a line; the next says how many followed. */
const quietMs = 10_000;
const rememberedRefusals = 1000;

export class AuditLog implements Disposable {
  readonly #options: AuditLogOptions;
  readonly #refusals = new Map<string, { readonly sinceMs: number; repeats: number }>();
  #fd: number | undefined;
  #size = 0;
  #isSyncing = false;
  #isUnsynced = false;

  /** The file is made when there is something to say. */
  constructor(options: AuditLogOptions) {
    this.#options = options;
  }

  /** A failure to write is logged: the daemon goes on, for its log says the same. */
  note(entry: AuditEntry): void {
    const nowMs = this.#options.now?.() ?? Date.now();
    const repeats = entry.outcome === "refused" ? this.#countRefusal(entry, nowMs) : 0;
    if (repeats === undefined) return;
    const { outcome, operation, caller, details } = entry;
    const { uid, gid, pid } = caller;
    const words = { time: new Date(nowMs).toISOString(), outcome, operation, uid, gid, pid };
    const more = { ...(repeats > 0 && { repeatsBefore: repeats }), ...(details !== undefined && { details }) };
    const line = JSON.stringify({ ...words, ...more }, plain);
    const bounded = line.length <= lineLimitBytes ? line : JSON.stringify({ ...words, detailsCut: true });
    try {
      this.#write(Buffer.from(`${bounded}\n`));
    } catch (error) {
      this.#options.log.error({ ...entry, ...errorFields(error) }, "the audit log could not be written");
    }
  }

  [Symbol.dispose](): void {
    for (const [key, { repeats }] of this.#refusals) {
      if (repeats === 0) continue;
      const [uid = "", operation = ""] = key.split(" ");
      const words = {
        time: new Date(this.#options.now?.() ?? Date.now()).toISOString(),
        outcome: "refused",
        operation,
      };
      this.#write(Buffer.from(`${JSON.stringify({ ...words, uid: Number(uid), repeatsBefore: repeats })}\n`));
    }
    this.#refusals.clear();
    if (this.#fd !== undefined && !this.#isSyncing) closeSync(this.#fd); // else the sync closes it
    this.#fd = undefined;
  }

  /** How many were left out since the last line of this kind; undefined if this one is left out, too. */
  #countRefusal({ caller, operation }: AuditEntry, nowMs: number): number | undefined {
    const key = `${caller.uid} ${operation}`;
    const known = this.#refusals.get(key);
    if (known !== undefined && nowMs - known.sinceMs < quietMs) {
      known.repeats += 1;
      return undefined;
    }
    this.#refusals.delete(key);
    if (this.#refusals.size >= rememberedRefusals) {
      const [oldest] = this.#refusals.keys();
      if (oldest !== undefined) this.#refusals.delete(oldest);
    }
    this.#refusals.set(key, { sinceMs: nowMs, repeats: 0 });
    return known?.repeats ?? 0;
  }

  #write(line: Uint8Array): void {
    const { file, limitBytes = defaultLimitBytes } = this.#options;
    if (this.#fd !== undefined && this.#size + line.length > limitBytes) this.#rotate(file);
    this.#fd ??= this.#open(file);
    writeSync(this.#fd, line); // with O_APPEND it is one piece, and outlives this process
    this.#size += line.length;
    this.#sync();
  }

  #open(file: string): number {
    mkdirSync(dirname(file), { recursive: true });
    const fd = openSync(file, "a", 0o600);
    chmodSync(file, 0o600);
    this.#size = fstatSync(fd).size;
    return fd;
  }

  #rotate(file: string): void {
    if (this.#fd !== undefined && !this.#isSyncing) closeSync(this.#fd);
    this.#fd = undefined;
    for (let number = olderFiles - 1; number >= 0; --number) {
      try {
        renameSync(number === 0 ? file : `${file}.${number}`, `${file}.${number + 1}`);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      }
    }
  }

  /** To the disk, off the main thread, one at a time. */
  #sync(): void {
    this.#isUnsynced = true;
    if (this.#isSyncing || this.#fd === undefined) return;
    const fd = this.#fd;
    this.#isSyncing = true;
    this.#isUnsynced = false;
    fdatasync(fd, (error) => {
      this.#isSyncing = false;
      if (error !== null) this.#options.log.error(errorFields(error), "the audit log could not be made durable");
      if (fd !== this.#fd) closeSync(fd); // it was put aside meanwhile
      if (this.#isUnsynced) this.#sync();
    });
  }
}

/** Details may hold what JSON does not know. */
function plain(_: string, value: unknown): unknown {
  if (typeof value === "bigint") return String(value);
  return value instanceof Uint8Array ? `${value.length} bytes` : value;
}
