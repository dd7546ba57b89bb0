/** One request as the scheduler keeps it: what it asked for, what became of it so far, and whom to tell. */
import type { BuildResult } from "../../derivations/build-result.ts";
import type { StorePath } from "../../derivations/store-path.ts";
import type { BuildEvent } from "../api/events.ts";
import { priorities } from "../api/priorities.ts";
import { makeRequestId, type Wanter } from "../api/requests.ts";
import type { BuildOptions, Caller } from "../api/service.ts";
import type { CheckOptions } from "../build/check-rounds.ts";
import type { Wanting } from "./fair-queue.ts";
import type { BuildGoal, GoalKey } from "./plan.ts";

type AskedFor = BuildOptions & { readonly caller?: Caller; readonly id?: string };

export class Request {
  /** Under which its inputs and outputs are held while it lasts. */
  readonly leaseOwner: string;
  readonly options: AskedFor;
  readonly startedAtMs = Date.now();
  readonly tell: (event: BuildEvent) => unknown;
  readonly #goals = new Map<GoalKey, BuildGoal>();
  readonly #results = new Map<GoalKey, BuildResult>();
  readonly #before: Promise<void>[] = [];
  #id: string | undefined;
  #onSettled: (() => void) | undefined;
  #listenerFailure: { readonly error: unknown } | undefined;

  constructor(leaseOwner: string, options: AskedFor) {
    this.leaseOwner = leaseOwner;
    this.options = options;
    this.tell = (event) => this.#tell(event);
  }

  /** Made when it is first asked for: of most requests nobody asks. */
  get id(): string {
    this.#id ??= this.options.id ?? makeRequestId();
    return this.#id;
  }

  /** What others may know of who asked. */
  get asker(): Wanter {
    const { uid, pid = 0 } = this.options.caller ?? {};
    return { id: this.id, ...(uid !== undefined && { uid }), ...(pid > 0 && { pid }) };
  }

  /** How its checks go about it; undefined if it asks for none. */
  get check(): CheckOptions | undefined {
    const { mode, rounds = 2, vary = [] } = this.options;
    return mode === "check" ? { rounds, vary } : undefined;
  }

  /** For whom it counts, and what goes before what. */
  get wanting(): Wanting {
    const { caller, priority = 0 } = this.options;
    return { user: caller?.uid ?? -1, priority: Math.max(priorities.least, Math.min(priorities.most, priority)) };
  }

  get keepGoing(): boolean {
    return this.options.keepGoing;
  }

  get signal(): AbortSignal | undefined {
    return this.options.signal;
  }

  /** How many builds it takes, how many of them have ended, and how many of those failed. */
  get counts(): { readonly total: number; readonly done: number; readonly failed: number } {
    let failed = 0;
    for (const { error } of this.#results.values()) if (error !== undefined) failed += 1;
    return { total: this.#goals.size, done: this.#results.size, failed };
  }

  /** A goal whose result this request waits for; `caughtUp` resolves when the request was told of all before it came. */
  expect(goal: BuildGoal, caughtUp: Promise<void> | undefined): void {
    this.#goals.set(goal.key, goal);
    if (caughtUp !== undefined) this.waitFor(caughtUp);
  }

  /** Not settled before this has ended. */
  waitFor(ended: Promise<void>): void {
    this.#before.push(ended);
  }

  goalOf(key: GoalKey): BuildGoal {
    const goal = this.#goals.get(key);
    if (goal === undefined) throw new Error(`the request never asked for ${key}`);
    return goal;
  }

  /** The first result of a goal counts. */
  settle(key: GoalKey, result: BuildResult): void {
    if (!this.#results.has(key)) this.#results.set(key, result);
    if (this.#results.size === this.#goals.size) this.#onSettled?.();
  }

  /**
   * Resolves when all goals have a result and all that had to end has ended. Throws what the request's own listener
   * threw: others that want the same builds go on.
   */
  async whenSettled(): Promise<void> {
    if (this.#results.size < this.#goals.size)
      await new Promise<void>((resolve) => {
        this.#onSettled = resolve;
      });
    while (this.#before.length > 0) await Promise.all(this.#before.splice(0));
    if (this.#listenerFailure !== undefined) throw this.#listenerFailure.error;
  }

  /** Of the outputs only those that were asked for. */
  resultOf(key: GoalKey, outputIds: readonly string[]): BuildResult {
    const result = this.#results.get(key);
    if (result === undefined) throw new Error(`${key} has no result, though the request is settled`);
    const outputs: Record<string, StorePath> = {};
    for (const id of outputIds) {
      const path = result.outputs[id];
      if (path !== undefined) outputs[id] = path;
    }
    return { ...result, outputs };
  }

  #tell(event: BuildEvent): unknown {
    if (this.#listenerFailure !== undefined) return undefined;
    try {
      return this.options.onEvent?.(event);
    } catch (error) {
      this.#listenerFailure = { error };
      return undefined;
    }
  }
}
