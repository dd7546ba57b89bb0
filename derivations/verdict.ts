/** What building a derivation several times has told about it. Plain data, as it is stored and sent. */
import type { StorePath } from "./store-path.ts";

/**
 * `same`: all builds were alike. `depends`: on what `causes` names, each by itself. `combination`: only when several of
 * `varied` were changed together. `unsteady`: it comes out differently when nothing is changed. `store-differs`: builds are
 * alike now, but what is in the store is not like them.
 */
export const findings = ["same", "depends", "combination", "unsteady", "store-differs"] as const;
export type Finding = (typeof findings)[number];

export interface Verdict {
  readonly finding: Finding;
  /** Builds that were compared, with the one whose outputs are in the store; those that only looked for causes not. */
  readonly rounds: number;
  /** What was changed from build to build. */
  readonly varied: readonly string[];
  /** Those of `varied` that change what comes out, or whether anything does. */
  readonly causes: readonly string[];
  /** By output id, of the last build that was compared; empty if that one failed. */
  readonly outputs: Readonly<Record<string, ComparedOutput>>;
}

export interface ComparedOutput {
  readonly path: StorePath;
  /** `sha256:BASE32`: of what is in the store, and of what the last build made. */
  readonly narHash: string;
  readonly otherNarHash: string;
}
