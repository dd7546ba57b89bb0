/** What a cancel stops, and for whom what it names goes on. */
import type { CancelResult, Wanter } from "../api/requests.ts";
import type { Caller } from "../api/service.ts";
import type { PendingBuild } from "../scheduler/pending-build.ts";
import type { Scheduler } from "../scheduler/scheduler.ts";
import { ServerError } from "./errors.ts";

/** What a user asked for, that user may end; a trusted one, everything. */
export function mayStop(owner: number | undefined, caller: Caller): boolean {
  return caller.trusted || owner === caller.uid;
}

/** What it takes to end a request: what others want goes on, what only waited is forgotten. */
export function describeCancelled(requestId: string, pending: readonly PendingBuild[]): CancelResult {
  const builds: CancelResult["builds"][number][] = [];
  let dropped = 0;
  for (const build of pending) {
    const others = build.wantedBy.filter(({ id }) => id !== requestId);
    if (build.isRunning || others.length > 0)
      builds.push(describe(build, { goesOn: others.length > 0, wantedBy: others }));
    else dropped += 1;
  }
  return { kind: "request", builds, dropped };
}

/** Gives up the running build of a record for all whom the caller may speak for. Throws REQUEST_UNKNOWN, REQUEST_NOT_YOURS. */
export function cancelBuild(scheduler: Scheduler, recordId: string, caller: Caller): CancelResult {
  const build = scheduler.findBuild(recordId);
  if (build === undefined) throw new ServerError("REQUEST_UNKNOWN", { id: recordId });
  const stopped = build.wantedBy.filter(({ uid }) => mayStop(uid, caller));
  const others = build.wantedBy.filter(({ uid }) => !mayStop(uid, caller));
  if (stopped.length === 0) {
    const owner = build.wantedBy[0]?.uid ?? 0;
    throw new ServerError("REQUEST_NOT_YOURS", { id: recordId, uid: caller.uid, owner });
  }
  scheduler.stopBuild(build, new Set(stopped.map(({ id }) => id)));
  const goesOn = others.length > 0;
  return { kind: "build", builds: [describe(build, { goesOn, wantedBy: goesOn ? others : stopped })], dropped: 0 };
}

function describe(
  { drvPath, name, recordId }: PendingBuild,
  outcome: { readonly goesOn: boolean; readonly wantedBy: readonly Wanter[] },
): CancelResult["builds"][number] {
  return { drvPath, name, ...(recordId && { recordId }), ...outcome };
}
