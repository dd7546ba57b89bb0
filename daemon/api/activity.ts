/** Who asked for what, what runs, and what waits for what. */
import type { StorePath } from "../../derivations/store-path.ts";

/** Why a build does not run yet. */
export type WaitReason =
  /** `names`: a few of those that are not done. */
  | { readonly kind: "dependencies"; readonly names: readonly string[]; readonly count: number }
  /** All jobs are taken. */
  | { readonly kind: "slot" }
  /** Its user's turn comes later. */
  | { readonly kind: "share" }
  | { readonly kind: "memory"; readonly neededBytes: number; readonly freeBytes: number }
  | { readonly kind: "cores" }
  | { readonly kind: "disk"; readonly freeBytes: number }
  | { readonly kind: "build-user" }
  | { readonly kind: "stopping" };

export interface BuildActivity {
  readonly drvPath: StorePath;
  readonly name: string;
  /** "settling": it needs no jail any more; what came out is looked at and committed. */
  readonly state: "waiting" | "running" | "settling";
  /** Once it has started. */
  readonly recordId?: string;
  /** When it came into this state. */
  readonly sinceMs: number;
  /** Their ids. */
  readonly requests: readonly string[];
  readonly waitsFor?: WaitReason;
  readonly expectedWallMs?: number;
  readonly cpuMicroseconds?: number;
  readonly memoryBytes?: number;
}

export interface RequestActivity {
  readonly id: string;
  readonly uid?: number;
  readonly pid?: number;
  readonly startedAtMs: number;
  readonly priority: number;
  /** It goes on without a client. */
  readonly detached: boolean;
  /** How many are attached to it. */
  readonly clients: number;
  readonly total: number;
  readonly done: number;
  readonly failed: number;
}

export interface Activity {
  readonly requests: readonly RequestActivity[];
  readonly builds: readonly BuildActivity[];
}
