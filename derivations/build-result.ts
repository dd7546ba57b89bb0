/** What became of one derivation that was asked for. Plain data, as it is sent. */
import type { RefusedCall } from "./build-record.ts";
import type { ErrorData } from "./error.ts";
import type { StorePath } from "./store-path.ts";
import type { Verdict } from "./verdict.ts";

export type BuildStatus = "built" | "already-valid" | "failed" | "dependency-failed" | "cancelled";

export interface BuildResult {
  readonly drvPath: StorePath;
  readonly status: BuildStatus;
  /** By output id; empty unless it was built or already valid. */
  readonly outputs: Readonly<Record<string, StorePath>>;
  readonly error?: ErrorData;
  /** Of the build's record, if there was a build. */
  readonly recordId?: string;
  readonly wallMs?: number;
  /** If it was asked for and there was a build: the system calls that the jail refused. */
  readonly refusedCalls?: readonly RefusedCall[];
  /** If it failed and what it left was to be kept. */
  readonly kept?: KeptDirectory;
  /** Of a check: whether it came out the same each time, and if not, why. */
  readonly verdict?: Verdict;
}

/** The build directory of a build that failed, as an archive; to be asked for by the record's id. */
export interface KeptDirectory {
  /** Of the archive; 0 if there is none. */
  readonly sizeBytes: number;
  /** Why there is none. */
  readonly problem?: string;
  /** How many sockets, FIFOs and so on are not in it, and the names of some. */
  readonly leftOut?: number;
  readonly leftOutNames?: readonly string[];
}
