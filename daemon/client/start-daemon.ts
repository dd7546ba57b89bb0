/**
 * Starts a store's daemon in the background. It belongs to no terminal, writes to the store's `log/daemon.log`, and
 * says on a pipe of its own that it listens, or why it does not.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, fstatSync, mkdirSync, openSync, readSync, renameSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { CloisterError, type ErrorData } from "../../derivations/error.ts";
import { thisProgram } from "../api/build-id.ts";
import { logFileOf, type StorePlace, socketOf } from "../api/socket-place.ts";
import { ClientError } from "./errors.ts";

export type Start =
  | { readonly kind: "running" }
  /** Another daemon owns the store. */
  | { readonly kind: "in-use"; readonly error: CloisterError };

export interface StartOptions {
  readonly environment: NodeJS.ProcessEnv;
  readonly strength?: string;
  readonly signal?: AbortSignal;
}

/** The descriptor on which the daemon reports; after stdin, stdout and stderr. */
const readyDescriptor = 3;

const logLimitBytes = 1024 * 1024;
const tailLines = 10;
const tailBytes = 8192;

/** Resolves when the daemon listens, or has said that another one has the store. Throws DAEMON_START_FAILED. */
export async function startDaemon(place: StorePlace, options: StartOptions): Promise<Start> {
  options.signal?.throwIfAborted();
  const logFile = logFileOf(place);
  const failed = (reason: string, advice: string, cause?: unknown) =>
    new ClientError(
      "DAEMON_START_FAILED",
      { root: place.root, reason, advice, logFile, logTail: from === undefined ? [] : readLogTail(logFile, from) },
      { cause },
    );
  /** Where this start's lines begin in the log; what is before belongs to earlier ones. */
  let from: number | undefined;
  let log: number;
  try {
    log = openLog(logFile);
    from = fstatSync(log).size;
  } catch (error) {
    throw failed(
      (error as Error).message,
      "Check that its directory can be written, or name another one with --root",
      error,
    );
  }

  const flags = [
    ["--root", place.root],
    ["--store-dir", place.storeDirectory],
    ["--state-dir", place.stateDirectory],
    ["--socket", socketOf(place)], // where its client will look, whatever its configuration file says
    ["--strength", options.strength],
    ["--ready-fd", String(readyDescriptor)],
  ].flatMap(([flag, value]) => (flag === undefined || value === undefined ? [] : [flag, value]));
  const { CLOISTER_SOCKET: _, ...environment } = options.environment; // this daemon listens at its store's own place
  const child = spawn(
    process.execPath,
    [join(thisProgram().folder, "daemon/server/bin.js"), "--background", ...flags],
    {
      cwd: "/",
      detached: true,
      env: environment,
      stdio: ["ignore", log, log, "pipe"],
    },
  );
  closeSync(log);
  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) =>
      resolve(code === null ? `it was killed by ${signal}` : `it ended with exit status ${code}`),
    );
  });

  const report = await readReport(child.stdio[readyDescriptor] as Readable, options.signal);
  if (report === undefined) throw failed(await ended, "");
  if (report.ready) {
    child.unref();
    return { kind: "running" };
  }
  const error = new CloisterError(report.error);
  await ended; // its lock and its log are settled
  if (error.code === "STORE_IN_USE") return { kind: "in-use", error };
  from = undefined; // its log says the same
  throw failed(`${error.message} [${error.code}]`, error.hint, error);
}

/** The last lines of a daemon's log that were written after the byte `from`; none if it cannot be read. */
export function readLogTail(logFile: string, from = 0): readonly string[] {
  try {
    const descriptor = openSync(logFile, "r");
    try {
      const { size } = fstatSync(descriptor);
      const start = Math.max(from, size - tailBytes);
      const bytes = Buffer.alloc(Math.max(0, size - start));
      const count = readSync(descriptor, bytes, 0, bytes.length, start);
      const lines = bytes.toString("utf8", 0, count).split("\n");
      if (start > from) lines.shift(); // it begins in the middle
      return lines.filter((line) => line !== "").slice(-tailLines);
    } finally {
      closeSync(descriptor);
    }
  } catch {
    return []; // there may be no log yet, and it may be another user's: the error is told without it
  }
}

type Report = { readonly ready: true } | { readonly ready: false; readonly error: ErrorData };

/** Undefined if the daemon ended without a word. */
async function readReport(pipe: Readable, signal: AbortSignal | undefined): Promise<Report | undefined> {
  const onAbort = () => pipe.destroy(signal?.reason as Error);
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    const words = await text(pipe);
    return words === "" ? undefined : (JSON.parse(words) as Report);
  } finally {
    signal?.removeEventListener("abort", onAbort);
    if (!pipe.destroyed) {
      pipe.destroy();
      await once(pipe, "close");
    }
  }
}

/**
 * As `mkdir -p`. Node's own `recursive` never returns where a directory that exists answers ENOENT for what is to be made
 * in it, as /proc does.
 */
function makeDirectories(path: string): void {
  try {
    mkdirSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return;
    if (code !== "ENOENT" || dirname(path) === path) throw error;
    makeDirectories(dirname(path));
    mkdirSync(path);
  }
}

/** Opens the log for appending; one that has grown too long is put aside first. */
function openLog(logFile: string): number {
  makeDirectories(dirname(logFile));
  const stat = statSync(logFile, { throwIfNoEntry: false });
  if (stat !== undefined && stat.size > logLimitBytes) renameSync(logFile, `${logFile}.1`);
  return openSync(logFile, "a", 0o644);
}
