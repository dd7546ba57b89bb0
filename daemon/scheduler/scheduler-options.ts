/** What the scheduler is given: once, and with each request. */
import type { Store } from "../../store/store.ts";
import type { BuildOptions, Caller } from "../api/service.ts";
import type { BuildContext, BuildSettings } from "../build/context.ts";

export interface SchedulerOptions {
  readonly store: Store;
  readonly launcher: BuildContext["launcher"];
  /** How many builds may run at the same time. */
  readonly maxJobs: number;
  /** What a builder is told by `NIX_BUILD_CORES` where the request says 0: the machine's processors. */
  readonly cores: number;
  readonly system: string;
  readonly settings?: Partial<Omit<BuildSettings, "system">>;
  /** How much processor time users get, each in proportion to the others; 1 for whoever is not named. */
  readonly shares?: ReadonlyMap<number, number>;
  /** What new builds may take; by default what the system or the daemon's control group has. */
  readonly freeMemoryBytes?: () => number;
  /** A request gave up builds that these others want, too: called with their ids. */
  readonly onSharedGivenUp?: (sharers: readonly string[]) => void;
}

export interface RequestOptions extends BuildOptions {
  readonly caller?: Caller;
  /** Who holds the targets' outputs after the request, such as a connection. */
  readonly owner: string;
  /** Somebody looks at the plan, and wants to know how long it may take. */
  readonly isWatched?: boolean;
  /** By which others can name the request; made when somebody asks for it where it is not given. */
  readonly id?: string;
}
