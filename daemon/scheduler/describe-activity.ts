/** What the scheduler does, for who asks: its requests and builds, and why those that wait do. */
import type { Activity, BuildActivity, WaitReason } from "../api/activity.ts";
import type { PendingBuild } from "./pending-build.ts";
import type { GoalKey } from "./plan.ts";
import type { Request } from "./request.ts";

/** A build as the scheduler knows it. */
export interface KnownBuild {
  readonly pending: PendingBuild;
  readonly sinceMs: number;
  readonly isSettling?: boolean;
  readonly expectedWallMs: number | undefined;
}

/** Of what a build waits for, so many are named. */
const named = 3;

export function describeActivity(
  requests: Iterable<Request>,
  builds: readonly KnownBuild[],
  waitingFor: ReadonlyMap<GoalKey, readonly GoalKey[]>,
  whyReadyWaits: (key: GoalKey) => WaitReason,
): Activity {
  const names = new Map(builds.map(({ pending }) => [pending.key, pending.name]));
  const reasonOf = (key: GoalKey): WaitReason => {
    const needed = waitingFor.get(key) ?? [];
    if (needed.length === 0) return whyReadyWaits(key);
    const known = needed.slice(0, named).map((need) => names.get(need));
    return { kind: "dependencies", names: known.filter((name) => name !== undefined), count: needed.length };
  };
  const describe = ({ pending, sinceMs, isSettling, expectedWallMs }: KnownBuild): BuildActivity => {
    const { key, drvPath, name, recordId, isRunning, wantedBy } = pending;
    return {
      ...{ drvPath, name, sinceMs, requests: wantedBy.map(({ id }) => id) },
      state: isSettling === true ? "settling" : isRunning ? "running" : "waiting",
      ...(recordId && { recordId }),
      ...(expectedWallMs !== undefined && { expectedWallMs }),
      ...(!isRunning && { waitsFor: reasonOf(key) }),
    };
  };
  const asked = Array.from(requests, (request) => ({
    ...request.asker,
    ...request.counts,
    startedAtMs: request.startedAtMs,
    ...{ priority: request.wanting.priority, detached: false, clients: 1 },
  }));
  return { requests: asked, builds: builds.map(describe) };
}
