/**
 * Which build comes when: goals that need each other, and the requests that want them. Pure: nothing is built here, and
 * what is decided is handed back to the caller, who runs it.
 *
 * - There is one goal per key, however many requests want it; it is run at most once while anybody wants it.
 * - A goal is ready when all that it needs has succeeded; which of the ready ones goes next is for a `ReadyOrder` to say.
 * - When a goal fails, all that needs it fails too, with the failed one as the cause.
 * - A goal that no request wants any more is dropped, or cancelled if it runs.
 *
 * All work is in proportion to the goals and edges that it touches, without recursion.
 */

/** One goal as a request plans it. What it needs must be in the same request, or be left out because it is done. */
export interface PlannedGoal<Key> {
  readonly key: Key;
  readonly needs: Iterable<Key>;
}

/** How a goal ended for those who want it. */
export type GoalEnd<Key> =
  | { readonly kind: "succeeded"; readonly key: Key }
  | { readonly kind: "failed"; readonly key: Key }
  | { readonly kind: "dependency-failed"; readonly key: Key; readonly cause: Key };

/** Goals that nobody wants any more. */
export interface Dropped<Key> {
  /** They were not started and are forgotten. */
  readonly waiting: readonly Key[];
  /** They run and are to be cancelled; `finish` is called for them as for any other. */
  readonly running: readonly Key[];
}

/** Decides which of the ready goals goes next. */
export interface ReadyOrder<Key, Request> {
  /** A goal is ready, or more want one that is. */
  push(goal: ReadyGoal<Key>, wantedBy: Iterable<Request>): void;
  /** One of those that still wait; undefined if there is none, or none may start now. */
  peek(): ReadyGoal<Key> | undefined;
}

export interface ReadyGoal<Key> {
  readonly key: Key;
  /** False once it runs, or nobody wants it. */
  readonly isReady: boolean;
}

interface Goal<Key, Request> extends ReadyGoal<Key> {
  readonly key: Key;
  isReady: boolean;
  state: "waiting" | "ready" | "running";
  /** How many goals it still waits for. */
  missing: number;
  readonly neededBy: Goal<Key, Request>[];
  readonly wantedBy: Set<Request>;
}

export class GoalGraph<Key, Request> {
  readonly #goals = new Map<Key, Goal<Key, Request>>();
  /** Running goals that nobody wants: a new goal of the same key waits for the end of the old one. */
  readonly #unwanted = new Map<Key, Goal<Key, Request>>();
  /** The goals of each request that are not ended. */
  readonly #wants = new Map<Request, Set<Key>>();
  readonly #ready: ReadyOrder<Key, Request>;
  #running = 0;

  /** By default ready goals go in the order in which they became so. */
  constructor(ready: ReadyOrder<Key, Request> = new FirstComeOrder()) {
    this.#ready = ready;
  }

  get running(): number {
    return this.#running;
  }

  /** Goals that are there and do not run: ready ones, and those that wait for others. */
  get waiting(): number {
    return this.#goals.size + this.#unwanted.size - this.#running;
  }

  /** The goals of a request that are not ended yet. */
  wantedBy(request: Request): ReadonlySet<Key> {
    return this.#wants.get(request) ?? new Set();
  }

  /** The requests that want a goal; empty if there is no such goal. */
  requestsOf(key: Key): ReadonlySet<Request> {
    return this.#goals.get(key)?.wantedBy ?? new Set();
  }

  /** For each goal that waits for others: those that have not ended. Looks at all there is. */
  waitingFor(): Map<Key, Key[]> {
    const waits = new Map<Key, Key[]>();
    for (const goals of [this.#goals, this.#unwanted])
      for (const { key, neededBy } of goals.values())
        for (const dependent of neededBy) {
          if (this.#goals.get(dependent.key) !== dependent) continue; // decided already, or dropped
          const needed = waits.get(dependent.key);
          if (needed === undefined) waits.set(dependent.key, [key]);
          else needed.push(key);
        }
    return waits;
  }

  /**
   * Lets a request want goals, each named once and after what it needs. A goal that is there already keeps what it waits
   * for. A need that the request has no goal for counts as done.
   */
  add(request: Request, planned: Iterable<PlannedGoal<Key>>): void {
    const wants = this.#wants.get(request) ?? new Set<Key>();
    for (const { key, needs } of planned) {
      wants.add(key);
      this.#wants.set(request, wants);
      const known = this.#goals.get(key);
      if (known === undefined) this.#addGoal(request, key, needs, wants);
      else this.#join(request, known);
    }
  }

  /** The goal to run next, which counts as running from now on; undefined if none may start. */
  takeReady(): Key | undefined {
    const key = this.#ready.peek()?.key;
    if (key === undefined) return undefined;
    const goal = this.#goals.get(key);
    if (goal?.state !== "ready") throw new Error(`the goal ${String(key)} was to run next, but is not ready`);
    goal.state = "running";
    goal.isReady = false;
    this.#running += 1;
    return key;
  }

  /**
   * Ends a running goal and all that its failure decides, the goal itself first. `wantedBy` of each end is who wanted it.
   * Empty if nobody did any more.
   */
  finish(
    key: Key,
    outcome: "succeeded" | "failed",
  ): { readonly end: GoalEnd<Key>; readonly wantedBy: ReadonlySet<Request> }[] {
    const unwanted = this.#unwanted.get(key);
    const goal = unwanted ?? this.#goals.get(key);
    if (goal === undefined || goal.state !== "running")
      throw new Error(`the goal ${String(key)} was finished, but does not run`);
    this.#running -= 1;
    if (unwanted === undefined) this.#remove(goal);
    else this.#unwanted.delete(key);

    const ends: { end: GoalEnd<Key>; wantedBy: ReadonlySet<Request> }[] = [];
    if (goal.wantedBy.size > 0) ends.push({ end: { kind: outcome, key }, wantedBy: goal.wantedBy });
    const failed: Goal<Key, Request>[] = [];
    for (const dependent of goal.neededBy) {
      if (outcome === "succeeded" || dependent.key === key) this.#oneLess(dependent);
      else failed.push(dependent);
    }
    failed.reverse(); // taken from the end, so that they fail in the order in which they were planned
    for (let next = failed.pop(); next !== undefined; next = failed.pop()) {
      if (this.#goals.get(next.key) !== next) continue; // decided already by another way to the same failure, or dropped
      this.#remove(next);
      ends.push({ end: { kind: "dependency-failed", key: next.key, cause: key }, wantedBy: next.wantedBy });
      for (let index = next.neededBy.length - 1; index >= 0; --index)
        failed.push(next.neededBy[index] as Goal<Key, Request>);
    }
    return ends;
  }

  /** A goal of a request, and all that the request wants and that needs it. */
  withNeeding(request: Request, key: Key): Key[] {
    const wants = this.wantedBy(request);
    const found = new Set([key]);
    for (const next of found)
      for (const dependent of this.#goals.get(next)?.neededBy ?? [])
        if (wants.has(dependent.key) && this.#goals.get(dependent.key) === dependent) found.add(dependent.key);
    return [...found];
  }

  /** Lets a request want nothing any more, or nothing of `some`: with a goal all that needs it must be named, too. */
  withdraw(request: Request, some?: Iterable<Key>): Dropped<Key> {
    const waiting: Key[] = [];
    const running: Key[] = [];
    const wants = this.#wants.get(request);
    for (const key of some ?? wants ?? []) {
      if (some !== undefined) wants?.delete(key);
      const goal = this.#goals.get(key);
      if (goal === undefined || !goal.wantedBy.delete(request) || goal.wantedBy.size > 0) continue;
      this.#remove(goal);
      if (goal.state === "running") {
        this.#unwanted.set(key, goal);
        running.push(key);
      } else {
        waiting.push(key);
      }
    }
    if (some === undefined || wants?.size === 0) this.#wants.delete(request);
    return { waiting, running };
  }

  #addGoal(request: Request, key: Key, needs: Iterable<Key>, wants: ReadonlySet<Key>): void {
    const goal: Goal<Key, Request> = {
      ...{ key, state: "waiting", isReady: false, missing: 0, neededBy: [] },
      wantedBy: new Set([request]),
    };
    const waitFor = (needed: Goal<Key, Request>) => {
      needed.neededBy.push(goal);
      goal.missing += 1;
    };
    for (const need of needs) {
      const needed = this.#goals.get(need);
      if (needed !== undefined && wants.has(need)) waitFor(needed);
    }
    const earlierRun = this.#unwanted.get(key);
    if (earlierRun !== undefined) waitFor(earlierRun);
    this.#goals.set(key, goal);
    if (goal.missing === 0) this.#makeReady(goal);
  }

  #join(request: Request, goal: Goal<Key, Request>): void {
    if (goal.wantedBy.has(request)) return;
    goal.wantedBy.add(request);
    if (goal.isReady) this.#ready.push(goal, [request]);
  }

  #oneLess(goal: Goal<Key, Request>): void {
    goal.missing -= 1;
    if (goal.missing === 0 && goal.state === "waiting" && this.#goals.get(goal.key) === goal) this.#makeReady(goal);
  }

  #makeReady(goal: Goal<Key, Request>): void {
    goal.state = "ready";
    goal.isReady = true;
    this.#ready.push(goal, goal.wantedBy);
  }

  #remove(goal: Goal<Key, Request>): void {
    this.#goals.delete(goal.key);
    goal.isReady = false;
    for (const request of goal.wantedBy) {
      const wants = this.#wants.get(request);
      wants?.delete(goal.key);
      if (wants?.size === 0) this.#wants.delete(request);
    }
  }
}

/** First come, first served. */
class FirstComeOrder<Key, Request> implements ReadyOrder<Key, Request> {
  readonly #goals = new Set<ReadyGoal<Key>>();

  push(goal: ReadyGoal<Key>): void {
    this.#goals.add(goal);
  }

  peek(): ReadyGoal<Key> | undefined {
    for (const goal of this.#goals) {
      if (goal.isReady) return goal;
      this.#goals.delete(goal);
    }
    return undefined;
  }
}
