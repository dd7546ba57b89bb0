/** What a suite is given, and what it gives: rows, one at a time as they are measured. */
import type { Measured } from "./row.ts";
import type { Subject } from "./subjects.ts";

export interface SuiteContext {
  /** In memory; removed at the end. */
  readonly temporary: string;
  /** A few rounds only: proves that the benchmark runs, its figures mean little. */
  readonly smoke: boolean;
  /** Cloister first, then the peers that are there. */
  readonly subjects: readonly Subject[];
  report(measured: Measured): void;
}

export type Suite = (context: SuiteContext) => Promise<void>;
