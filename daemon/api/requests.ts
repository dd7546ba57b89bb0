/** Requests that can be named by others than their client: to be seen, attached to, and cancelled. */
import { randomBytes } from "node:crypto";
import { encodeBase32 } from "../../derivations/base32.ts";
import type { StorePath } from "../../derivations/store-path.ts";

/** What becomes of a request when its client goes away: it ends, it goes on, or it goes on if others want its builds, too. */
export const onDisconnectKinds = ["cancel", "keep", "keep-if-shared"] as const;
export type OnDisconnect = (typeof onDisconnectKinds)[number];

/** A request that wants a build. */
export interface Wanter {
  readonly id: string;
  readonly uid?: number;
  readonly pid?: number;
}

/** One build that a cancel was about. */
export interface CancelledBuild {
  readonly drvPath: StorePath;
  readonly name: string;
  /** If it runs. */
  readonly recordId?: string;
  /** Others want it, and so it runs on for them. */
  readonly goesOn: boolean;
  /** Who wants it, or wanted it, beside who was meant. */
  readonly wantedBy: readonly Wanter[];
}

export interface CancelResult {
  /** What the id named. */
  readonly kind: "request" | "build";
  /** Those that ran, and those that others want. */
  readonly builds: readonly CancelledBuild[];
  /** How many others were only waiting, and are not wanted any more. */
  readonly dropped: number;
}

/** "r-" and 12 base-32 digits: no id of a build's record looks like that. */
export function makeRequestId(): string {
  return `r-${encodeBase32(randomBytes(8)).slice(-12)}`;
}
