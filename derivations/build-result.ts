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
  /** Of a check: whether it came out the same each time, and if not, why. */
  readonly verdict?: Verdict;
}
