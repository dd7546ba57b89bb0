/** The errors of what is native: trees, the launcher, jails. `errnoName` is the system's name for it, such as "ENOSPC". */
import { Buffer } from "node:buffer";
import { getSystemErrorName } from "node:util";
import { CloisterError, errorClass, row } from "../derivations/error.ts";

export interface FailedCall {
  /** The system call, or what it was for. */
  readonly step: string;
  readonly errno: number;
  readonly errnoName: string;
  /** What it was about; of a tree: below its top, which is "" itself. */
  readonly path: string;
}

export const sandboxErrors = {
  NATIVE_NOT_COMPILED: row(
    (d: { file: string }) => `the native part is not there: ${d.file}`,
    "Compile it with `npm run compile` (it needs g++, make and python3), or install the package again",
  ),
  POSIX_CALL_FAILED: row(
    (d: FailedCall) => `${d.step} failed with ${d.errnoName}${d.path === "" ? "" : ` for ${quote(d.path)}`}`,
    (d) => hintOnErrno(d.errnoName),
  ),
  TREE_SYSTEM_CALL: row(
    (d: FailedCall) => `${d.step} failed with ${d.errnoName}${d.path === "" ? "" : ` for ${quote(d.path)}`}`,
    (d) => hintOnErrno(d.errnoName),
  ),
  TREE_SPECIAL_FILE: row(
    (d: { path: string }) => `${placeOf(d.path)} is a device, a FIFO or a socket`,
    "Only files, directories and symbolic links can be in a store object: remove it, or leave it out of the source",
  ),
  TREE_TOO_DEEP: row(
    (d: { path: string }) => `the tree is nested deeper than 64 levels, at ${quote(d.path)}`,
    "Make the tree flatter, or pack the deep part of it into one file",
  ),
  TREE_CHANGED: row(
    (d: { path: string }) => `${placeOf(d.path)} changed while it was read`,
    "Wait until nothing writes to it any more, then try again",
  ),
  TREE_CANCELLED: row(
    (_: { path: string }) => "the work on a tree was cancelled",
    "Nothing is left of it; start it again",
  ),
  TREE_NOT_FLAT: row(
    (d: { path: string }) => `${placeOf(d.path)} is not a plain file, so it has no flat hash`,
    "Make it one regular file that is not executable, or use the recursive hash mode",
  ),
  TREE_NOT_A_FILE: row(
    (d: { path: string }) => `${placeOf(d.path)} is not a regular file`,
    "List what there is with `cloister ls`",
  ),
  OUTPUT_SPECIAL_FILE: row(
    (d: { path: string }) => `${placeOf(d.path)} is a device, a FIFO or a socket`,
    "Have the builder remove it: an output holds files, directories and symbolic links only",
  ),
  OUTPUT_FOREIGN_OWNER: row(
    (d: { path: string }) => `${placeOf(d.path)} belongs to another user than the one who built`,
    "Have the builder make its files itself, and not link to files of others",
  ),
  OUTPUT_TOP_WRITABLE: row(
    (_: { path: string }) => "the output is writable by its group or by everyone",
    "Have the builder run `chmod go-w $out` at the end",
  ),
  OUTPUT_TOO_DEEP: row(
    (d: { path: string }) => `the output is nested deeper than 64 levels, at ${quote(d.path)}`,
    "Make the tree flatter, or pack the deep part of it into one file",
  ),
  OUTPUT_REWRITE_COLLISION: row(
    (d: { path: string }) => `two names become ${quote(d.path)} when the output gets its final path`,
    "Do not have names in an output that differ in its own hash only",
  ),
  LAUNCHER_START_FAILED: row(
    (d: FailedCall) => `the launcher could not start: ${describeCall(d)}`,
    "Run `cloister doctor`: it says what this machine lacks, and how to mend it",
  ),
  LAUNCHER_LAYOUT: row(
    (d: FailedCall) => `${quote(d.path)} is not on the same mount as the store, so nothing could be moved between them`,
    "Have the store and the state directory on one file system, in one mount",
  ),
  LAUNCHER_GONE: row(
    (_: { pid: number }) => "the launcher has ended, and with it all that it ran",
    "Start it again; if it was not stopped on purpose, the kernel's log may say why it ended (out of memory?)",
  ),
  LAUNCHER_ORDER_INVALID: row(
    (d: FailedCall) => `the launcher refused an order: ${describeCall(d)}`,
    "This is a mistake in cloister itself: please report it, with the command that led to it",
  ),
  STRENGTH_UNAVAILABLE: row(
    (d: FailedCall & { strength: string }) => `this machine does not grant ${d.strength} strength: ${describeCall(d)}`,
    (d) => strengthHints[d.step] ?? "Run `cloister doctor`: it says what this machine lacks, and how to mend it",
  ),
  NO_STRENGTH_AVAILABLE: row(
    (d: { reasons: readonly string[] }) => `this machine lets nobody make a jail: ${d.reasons.join("; ")}`,
    "Run `cloister doctor`: it says what this machine lacks, and how to mend it",
  ),
  JAIL_SPEC_INVALID: row(
    (d: { path: string; reason: string }) => `the jail cannot be made as described: ${d.path}: ${d.reason}`,
    "Correct what the jail is given",
  ),
  JAIL_STEP_FAILED: row(
    (d: FailedCall) => `a jail could not be made: ${describeCall(d)}`,
    "Run `cloister doctor`: it says what this machine lacks, and how to mend it",
  ),
} as const;

export const SandboxError = errorClass(sandboxErrors, "SandboxError");

/** A failure as the addon and the launcher report it; src/core/result.h says what the fields mean for which code. */
export interface NativeFailure {
  readonly code: string;
  readonly step: string;
  readonly errno: number;
  readonly path: Uint8Array;
  readonly offset: bigint;
}

export function isNativeFailure(value: unknown): value is NativeFailure {
  return typeof value === "object" && value !== null && "code" in value && "step" in value && "offset" in value;
}

/** The error for a failure of the functions on trees and of posix.ts; anything else thrown is given back as it is. */
export function errorOf(thrown: unknown): unknown {
  if (!isNativeFailure(thrown)) return thrown;
  if (thrown.code.startsWith("NAR_")) return archiveErrorOf(thrown);
  if (!Object.hasOwn(sandboxErrors, thrown.code)) return thrown;
  // The codes of the native part are those of the table, and FailedCall has all details that its rows look at.
  return new SandboxError(thrown.code as "TREE_SYSTEM_CALL", detailsOf(thrown));
}

export function detailsOf(failure: NativeFailure): FailedCall {
  return {
    step: failure.step,
    errno: failure.errno,
    errnoName: errnoNameOf(failure.errno),
    path: Buffer.from(failure.path).toString(),
  };
}

/** Such as "ENOENT"; "" for 0. */
export function errnoNameOf(errno: number): string {
  if (errno === 0) return "";
  try {
    return getSystemErrorName(-errno);
  } catch {
    return `errno ${errno}`; // one that libuv has no name for
  }
}

/**
 * What the native reader says of an archive has the codes and details of the table in derivations/errors.ts, which also
 * has the sentences for the decoder there; this folder sees the base of errors alone.
 */
function archiveErrorOf(failure: NativeFailure): CloisterError {
  const offset = Number(failure.offset);
  const found = Buffer.from(failure.path).toString();
  const details = archiveDetails(failure.code, failure.step, found);
  const reason = Object.values(details).map(String).join(", ");
  return new CloisterError({
    code: failure.code,
    message: `the archive is not valid at byte ${offset}: ${archiveFaults[failure.code] ?? failure.code}${reason === "" ? "" : ` (${reason})`}`,
    hint:
      failure.code === "NAR_TRUNCATED"
        ? "The transfer was cut short: send the archive again"
        : "The archive is damaged or was not made by a NAR writer; make it again from the original tree",
    details: { offset, ...details },
  });
}

function archiveDetails(code: string, step: string, found: string): Record<string, unknown> {
  switch (code) {
    case "NAR_TRUNCATED":
      return { expected: step };
    case "NAR_TOKEN_UNEXPECTED":
      return { expected: step, found };
    case "NAR_NAME_INVALID":
    case "NAR_TARGET_INVALID":
      return { reason: step };
    case "NAR_NAME_ORDER":
      return { name: found, reason: step };
    case "NAR_TOO_DEEP":
      return { limit: 64 };
    case "NAR_LENGTH_TOO_BIG":
      return { length: BigInt(found) };
    default:
      return {};
  }
}

const archiveFaults: Readonly<Record<string, string>> = {
  NAR_TRUNCATED: "it ends where more was expected",
  NAR_TRAILING_BYTES: "it is complete, but more bytes follow",
  NAR_TOKEN_UNEXPECTED: "something else was expected",
  NAR_PADDING_NONZERO: "padding is not zero",
  NAR_NAME_INVALID: "a file name cannot be",
  NAR_NAME_ORDER: "file names are not in order, each once",
  NAR_TARGET_INVALID: "the target of a symbolic link cannot be",
  NAR_TOO_DEEP: "directories are nested too deep",
  NAR_LENGTH_TOO_BIG: "a file's size is more than a file can have",
};

function hintOnErrno(errnoName: string): string {
  return errnoHints[errnoName] ?? "See what the system says of this file or directory, then try again";
}

const errnoHints: Readonly<Record<string, string>> = {
  ENOENT: "Check the path: nothing is there",
  ENOTDIR: "Check the path: a part of it is not a directory",
  ENOSPC: "Free space or inodes on this disk, with `cloister gc` for example",
  EDQUOT: "Your quota on this disk is used up: free space, with `cloister gc` for example",
  EACCES: "Give this user the permission, or run it as the user who has it",
  EPERM: "Give this user the permission, or run it as the user who has it",
  EROFS: "The file system is mounted read-only: use a place that can be written",
  EMFILE: "Raise the limit on open files (ulimit -n)",
  ENFILE: "The machine has too many open files: raise fs.file-max",
  EIO: "The disk reports an error: look at the kernel's log",
};

const strengthHints: Readonly<Record<string, string>> = {
  "find-subordinate-ids": "Give this user subordinate ids: `cloister doctor` prints the command",
  "run-newuidmap": "Install newuidmap and newgidmap: `sudo apt-get install uidmap`",
  "make-user-namespace":
    "Allow user namespaces: `sudo sysctl user.max_user_namespaces=15000`; in Docker, run the container with `--security-opt seccomp=unconfined`",
  "lock-ids":
    "Other daemons have all build users: end one of them, or give this user more subordinate ids in /etc/subuid and /etc/subgid",
  "make-pid-namespace":
    "This root may not make namespaces: in a container, run that with `docker run --privileged`, or run the daemon outside of it",
  "be-root": "Run it as root, or choose another strength",
};

function describeCall(call: FailedCall): string {
  return `${call.step} failed with ${call.errnoName}${call.path === "" ? "" : ` for ${quote(call.path)}`}`;
}

function placeOf(path: string): string {
  return path === "" ? "the top of the tree" : quote(path);
}

/** A path for a message: on one line, without control characters, and not endless. */
function quote(path: string): string {
  return JSON.stringify(path.length > 200 ? `${path.slice(0, 200)}…` : path);
}
