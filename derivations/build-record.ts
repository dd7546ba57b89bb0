/** What is kept of a build: who, when, how long, how much, from what, to what. Plain data, as it is stored and sent. */
import type { KeptDirectory } from "./build-result.ts";
import type { ErrorData } from "./error.ts";
import type { StorePath } from "./store-path.ts";
import type { Verdict } from "./verdict.ts";

/**
 * `building` until the builder has ended; `sealing` from then until its outputs are registered; a record that says so
 * after a start belongs to a build that was cut off, and is settled by whether its outputs are valid.
 */
export type BuildRecordStatus = "building" | "sealing" | "done" | "failed" | "cancelled";

/** Which records are asked for; what is absent does not matter. */
export interface BuildQuery {
  /** An id, a derivation's or an output's path (full or base name), or a name with or without version. */
  readonly text?: string;
  readonly status?: BuildRecordStatus;
  /** Who asked first. */
  readonly uid?: number;
  /** When it started, in milliseconds since 1970: from then on, and up to then. */
  readonly sinceMs?: number;
  readonly untilMs?: number;
  /** Only those that started before the build with this id. */
  readonly beforeId?: string;
  readonly limit: number;
}

export interface BuildRecord {
  readonly id: string;
  readonly drvPath: StorePath;
  /** The derivation's. */
  readonly name: string;
  /** Who asked first; absent if the daemon did itself. */
  readonly user?: { readonly uid: number };
  readonly status: BuildRecordStatus;
  readonly startedAtMs: number;
  /** Absent while it runs. */
  readonly stoppedAtMs?: number;
  /** The builder and its arguments. */
  readonly command: readonly string[];
  /** As the builder saw it. */
  readonly environment: Readonly<Record<string, string>>;
  /** The store paths that the builder could see. */
  readonly inputs: readonly StorePath[];
  readonly world?: StorePath;
  /** How builds were kept apart: "range", "root" or "single". */
  readonly strength: string;
  readonly exitStatus?: number;
  readonly signal?: number;
  readonly error?: ErrorData;
  /** By output id; empty unless it is done. */
  readonly outputs: Readonly<Record<string, BuiltOutput>>;
  readonly resources: BuildResources;
  /** Limits that the build was to have and that this machine did not let us enforce, such as "memory". */
  readonly notEnforced?: readonly string[];
  /** Why a build of a fixed output, which may have a network, had none: "pasta is not installed". */
  readonly offline?: string;
  /** Relative to the log directory. */
  readonly logFile?: string;
  /** The system calls that its jail refused, if they were counted. */
  readonly refusedCalls?: readonly RefusedCall[];
  /** If it failed and its build directory was to be kept, which is not for ever. */
  readonly kept?: KeptDirectory;
  /** If it is the last build of a check: what that found. */
  readonly verdict?: Verdict;
}

export interface RefusedCall {
  /** Its name; "call 700" if no call has that number. */
  readonly call: string;
  /** Such as "EPERM". */
  readonly errno: string;
  /** How often. */
  readonly count: number;
}

export interface BuiltOutput {
  readonly path: StorePath;
  /** `sha256:BASE32`. */
  readonly narHash: string;
  /** In bytes. */
  readonly narSize: number;
}

export interface BuildResources {
  readonly cpuUserMicroseconds: number;
  readonly cpuSystemMicroseconds: number;
  /** Of the largest of its processes. */
  readonly maxResidentBytes: number;
  readonly wallMicroseconds: number;
  /** From and to disks. */
  readonly readBytes?: number;
  readonly writtenBytes?: number;
  /** Of all its processes together, at a time; known where a control group counted. */
  readonly peakMemoryBytes?: number;
  readonly mostProcesses?: number;
}
