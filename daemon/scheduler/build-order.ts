/**
 * The order in which builds start: fair between users, and none before there is memory for it. What a build may take is
 * guessed from earlier builds of its name.
 */

import { FairQueue, type User, type Wanting } from "./fair-queue.ts";
import type { ReadyGoal, ReadyOrder } from "./goal-graph.ts";
import type { GoalKey } from "./plan.ts";

export interface Expected {
  readonly cpuMicroseconds: number;
  /** 0: nothing is known, or it does not matter. */
  readonly memoryBytes: number;
}

export interface BuildOrderOptions<Request> {
  readonly wantingOf: (request: Request) => Wanting;
  /** By user; 1 for all others. */
  readonly shares: ReadonlyMap<User, number>;
  readonly expectedOf: (key: GoalKey) => Expected;
  readonly freeMemoryBytes: () => number;
  /** Milliseconds. */
  readonly now: () => number;
}

/** Why a build that is ready and has a slot does not start. */
export interface HeldBack {
  readonly key: GoalKey;
  readonly neededBytes: number;
  readonly freeBytes: number;
}

/** Builds below this start without a look at the memory there is. */
const smallBytes = 64 * 1024 * 1024;
/** A build that runs for less has not taken yet what it is going to take. */
const growingMs = 10_000;
/** What a build is taken for of which nothing is known, in microseconds of processor time. */
const unknownCpuMicroseconds = 1000;

interface Started {
  readonly goal: ReadyGoal<GoalKey>;
  readonly atMs: number;
  readonly memoryBytes: number;
}

export class BuildOrder<Request> implements ReadyOrder<GoalKey, Request> {
  readonly #options: BuildOrderOptions<Request>;
  readonly #queue: FairQueue<ReadyGoal<GoalKey>>;
  readonly #started = new Map<GoalKey, Started>();
  #next: ReadyGoal<GoalKey> | undefined;
  #heldBack: HeldBack | undefined;

  constructor(options: BuildOrderOptions<Request>) {
    this.#options = options;
    const { shares } = options;
    this.#queue = new FairQueue({ shareOf: (user) => shares.get(user) ?? 1, isWaiting: ({ isReady }) => isReady });
  }

  /** Which build waits for memory, since the last look. */
  get heldBack(): HeldBack | undefined {
    return this.#heldBack;
  }

  push(goal: ReadyGoal<GoalKey>, wantedBy: Iterable<Request>): void {
    this.#queue.push(goal, Array.from(wantedBy, this.#options.wantingOf), this.#options.now());
  }

  /** The next one waits until there is memory for it, and all others behind it: else a large one would wait for ever. */
  peek(): ReadyGoal<GoalKey> | undefined {
    this.#heldBack = undefined;
    this.#next = this.#queue.peek(this.#options.now());
    if (this.#next === undefined) return undefined;
    const { memoryBytes } = this.#options.expectedOf(this.#next.key);
    if (memoryBytes < smallBytes || this.#started.size === 0) return this.#next; // alone it may take what it wants
    const freeBytes = this.#options.freeMemoryBytes() - this.#stillToBeTaken();
    if (memoryBytes <= freeBytes) return this.#next;
    this.#heldBack = { key: this.#next.key, neededBytes: memoryBytes, freeBytes: Math.max(0, freeBytes) };
    return undefined;
  }

  /** The goal that was peeked at last starts. */
  start(wantedBy: Iterable<Request>): void {
    const goal = this.#next;
    if (goal === undefined) throw new Error("nothing was to start");
    this.#next = undefined;
    const { cpuMicroseconds, memoryBytes } = this.#options.expectedOf(goal.key);
    this.#started.set(goal.key, { goal, atMs: this.#options.now(), memoryBytes });
    const expected = cpuMicroseconds || unknownCpuMicroseconds;
    this.#queue.start(goal, this.#usersOf(wantedBy), expected, this.#options.now());
  }

  end(key: GoalKey, cpuMicroseconds: number): void {
    const started = this.#started.get(key);
    if (started === undefined) return;
    this.#started.delete(key);
    this.#queue.end(started.goal, cpuMicroseconds);
  }

  /** Whether the next turn is one of other users than those who want this. */
  isAnothersTurn(wantedBy: Iterable<Request>): boolean {
    return this.#queue.isAnothersTurn(this.#usersOf(wantedBy), this.#options.now());
  }

  #usersOf(wantedBy: Iterable<Request>): User[] {
    return [...new Set(Array.from(wantedBy, (request) => this.#options.wantingOf(request).user))];
  }

  #stillToBeTaken(): number {
    const since = this.#options.now() - growingMs;
    let bytes = 0;
    for (const { atMs, memoryBytes } of this.#started.values()) if (atMs > since) bytes += memoryBytes;
    return bytes;
  }
}
