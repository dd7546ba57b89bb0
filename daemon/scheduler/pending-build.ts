/** What others may know of a build that is wanted. */
import type { StorePath } from "../../derivations/store-path.ts";
import type { Wanter } from "../api/requests.ts";
import type { GoalKey } from "./plan.ts";

/** A build that is wanted and has not ended. */
export interface PendingBuild {
  readonly key: GoalKey;
  readonly drvPath: StorePath;
  readonly name: string;
  /** Once it has started. */
  readonly recordId?: string;
  readonly isRunning: boolean;
  readonly wantedBy: readonly Wanter[];
}
