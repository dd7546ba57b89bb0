/** What a launcher is started with. */
import type { Strength } from "./launcher-messages.ts";

export interface LauncherOptions {
  /** Physical, existing directories; all but `buildsDirectory` must be on one mount. */
  readonly storeDirectory: string;
  readonly stagingDirectory: string;
  readonly trashDirectory: string;
  readonly buildsDirectory: string;
  /** "auto" takes the first of range, root, single that the machine grants; a named one fails if it is not granted. */
  readonly strength: "auto" | Strength;
  readonly maxJobs: number;
  /** The program pasta, for builds with a way out; without, a spec that asks for one fails. */
  readonly pasta?: string;
  /** The most ids that builds may have; by default all that there are. At least 8. */
  readonly mostBuildUsers?: number;
  /**
   * Where control groups may be made: "auto" (the own group, or one above it), "none", or a group's path as in
   * /proc/self/cgroup.
   */
  readonly controlGroupRoot?: string;
  readonly executable?: string;
  /** Given to `executable` after its other arguments: the launcher that tests compile for themselves takes some. */
  readonly extraArguments?: readonly string[];
}
