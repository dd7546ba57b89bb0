/** A goal that runs, or will: there is one for each goal of the graph. */
import type { BuildResources } from "../../derivations/build-record.ts";
import type { StopController } from "../build/stop-controller.ts";
import type { GoalEvents } from "./goal-events.ts";
import type { BuildGoal } from "./plan.ts";
import type { Request } from "./request.ts";

export interface Run {
  readonly goal: BuildGoal;
  readonly first: Request;
  readonly events: GoalEvents;
  readonly abort: StopController;
  /** When it was asked for or, if it runs, started. */
  sinceMs: number;
  /** It needs no jail any more: only what came out is looked at and committed. */
  isSettling?: boolean;
  /** Processor time of its builders that have ended, in microseconds. */
  usedMicroseconds: number;
  /** Of the last of them. */
  resources?: BuildResources;
  /** Resolves when the run is over and all have been told. */
  ended?: Promise<void>;
}
