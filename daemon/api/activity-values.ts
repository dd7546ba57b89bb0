/** The values of the protocol that tell who asked for what, and what goes on. */
import type { Activity, WaitReason } from "./activity.ts";
import type { CancelResult } from "./requests.ts";
import { absentOr, boolean, byKind, integer, list, number, object, oneOf, type Schema, text } from "./schema.ts";
import { count, storePath } from "./wire-values.ts";

const wanter = object({ id: text(), uid: absentOr(count), pid: absentOr(count) });

export const cancelResult: Schema<CancelResult> = object({
  kind: oneOf("request", "build"),
  builds: list(
    object({
      drvPath: storePath,
      name: text(),
      recordId: absentOr(text()),
      goesOn: boolean,
      wantedBy: list(wanter),
    }),
  ),
  dropped: count,
});

const waitReason: Schema<WaitReason> = byKind(
  "kind",
  object({ kind: oneOf("dependencies"), names: list(text()), count }),
  object({ kind: oneOf("slot") }),
  object({ kind: oneOf("share") }),
  object({ kind: oneOf("memory"), neededBytes: count, freeBytes: count }),
  object({ kind: oneOf("cores") }),
  object({ kind: oneOf("disk"), freeBytes: count }),
  object({ kind: oneOf("build-user") }),
  object({ kind: oneOf("stopping") }),
);

export const activity: Schema<Activity> = object({
  requests: list(
    object({
      id: text(),
      uid: absentOr(count),
      pid: absentOr(count),
      startedAtMs: number,
      priority: integer,
      detached: boolean,
      clients: count,
      total: count,
      done: count,
      failed: count,
    }),
  ),
  builds: list(
    object({
      drvPath: storePath,
      name: text(),
      state: oneOf("waiting", "running", "settling"),
      recordId: absentOr(text()),
      sinceMs: number,
      requests: list(text()),
      waitsFor: absentOr(waitReason),
      expectedWallMs: absentOr(number),
      cpuMicroseconds: absentOr(number),
      memoryBytes: absentOr(number),
    }),
  ),
});
