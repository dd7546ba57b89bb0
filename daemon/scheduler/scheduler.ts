/**
 * Runs the goals of all requests: each derivation is built once however many ask, at most so many at a time, and whoever
 * asked is told of it. What comes when is decided by the goal graph; here it is done.
 */
import type { BuildResult } from "../../derivations/build-result.ts";
import type { DerivedPath } from "../../derivations/derived-path.ts";
import type { StorePath } from "../../derivations/store-path.ts";
import type { Activity, WaitReason } from "../api/activity.ts";
import type { Wanter } from "../api/requests.ts";
import type { BuildOutcome } from "../build/build-derivation.ts";
import { type BuildContext, defaultBuildSettings } from "../build/context.ts";
import { BuildError } from "../build/errors.ts";
import { StopController } from "../build/stop-controller.ts";
import { BuildTallies } from "../build/tallies.ts";
import { buildGoal } from "./build-goal.ts";
import { BuildOrder, type Expected } from "./build-order.ts";
import { describeActivity } from "./describe-activity.ts";
import { GoalEvents } from "./goal-events.ts";
import { GoalGraph } from "./goal-graph.ts";
import { pause, timeout } from "./pauses.ts";
import type { PendingBuild } from "./pending-build.ts";
import { type BuildGoal, type GoalKey, makePlan, type Plan } from "./plan.ts";
import { Request } from "./request.ts";
import type { Run } from "./run.ts";
import type { RequestOptions, SchedulerOptions } from "./scheduler-options.ts";
import { cancelled, dependencyFailed } from "./unbuilt.ts";
import { UsageHistory, usageOf } from "./usage-history.ts";

export class Scheduler {
  /** Of all builds so far. */
  readonly tallies = new BuildTallies();
  #context: BuildContext;
  readonly #maxJobs: number;
  #cores: number;
  readonly #onSharedGivenUp: SchedulerOptions["onSharedGivenUp"];
  readonly #history: UsageHistory;
  readonly #order: BuildOrder<Request>;
  readonly #graph: GoalGraph<GoalKey, Request>;
  /** Of the goals in the graph; a goal that is being cancelled has left it already. */
  readonly #runs = new Map<GoalKey, Run>();
  readonly #requests = new Set<Request>();
  /** Everything that runs, the unwanted too. */
  readonly #running = new Set<Run>();
  /** How many of them have succeeded and need no jail any more: their slots are for others. */
  #settling = 0;
  #requestCount = 0;
  #isDraining = false;
  /** While a build waits for what no end of another one of ours may bring. */
  #lookAgain: NodeJS.Timeout | undefined;

  constructor(options: SchedulerOptions) {
    const { store, launcher, system, settings } = options;
    this.#context = {
      store,
      launcher,
      tallies: this.tallies,
      settings: { ...defaultBuildSettings, ...settings, system },
    };
    this.#maxJobs = options.maxJobs;
    this.#cores = options.cores;
    this.#onSharedGivenUp = options.onSharedGivenUp;
    this.#history = new UsageHistory((name) => store.records.findDone(name));
    this.#order = new BuildOrder({
      wantingOf: ({ wanting }) => wanting,
      shares: options.shares ?? new Map(),
      expectedOf: (key) => this.#expectedOf(key),
      freeMemoryBytes: options.freeMemoryBytes ?? (() => process.availableMemory()),
      now: () => performance.now(),
    });
    this.#graph = new GoalGraph(this.#order);
  }

  /** What holds for builds that start from now on. */
  reconfigure({ cores, settings }: Required<Pick<SchedulerOptions, "cores" | "settings">>): void {
    this.#cores = cores;
    this.#context = { ...this.#context, settings: { ...this.#context.settings, ...settings } };
  }

  /** Builds that run now. */
  get running(): number {
    return this.#graph.running;
  }

  /** Builds that are asked for and do not run yet. */
  get waiting(): number {
    return this.#graph.waiting;
  }

  /**
   * Makes the targets valid: one result for each, in their order. What goes wrong with a build is in its result. Throws
   * BUILD_DAEMON_STOPPING, and the signal's reason once what ran for this request alone has ended.
   */
  async build(targets: readonly DerivedPath[], options: RequestOptions): Promise<BuildResult[]> {
    if (this.#isDraining) throw new BuildError("BUILD_DAEMON_STOPPING", undefined);
    options.signal?.throwIfAborted();
    const { store } = this.#context;
    this.#requestCount += 1;
    const request = new Request(`${options.owner}/build-${this.#requestCount}`, options);
    const hold = (paths: readonly StorePath[]) => void store.leases.take(request.leaseOwner, paths);
    try {
      const plan = await makePlan(this.#context, targets, { check: request.check, hold, pause });
      options.signal?.throwIfAborted();
      if (this.#isDraining) throw new BuildError("BUILD_DAEMON_STOPPING", undefined);
      request.tell({
        kind: "plan",
        toBuild: plan.goals.map((goal, index) =>
          this.#describePlanned(goal, options.isWatched === true && index < mostLookedUp),
        ),
        alreadyValid: plan.alreadyValid,
      });
      if (plan.goals.length > 0) await this.#runRequest(request, plan);
      const results = plan.targets.map((target) =>
        target.kind === "settled" ? target.result : request.resultOf(target.key, target.outputIds),
      );
      for (const { outputs } of results) store.leases.take(options.owner, Object.values(outputs));
      return results;
    } finally {
      store.leases.release(request.leaseOwner);
    }
  }

  /** Takes no new work and starts no build; lets those that run go on for so long, then cancels them. */
  async drain(drainMs: number): Promise<void> {
    this.#isDraining = true;
    await Promise.race([this.#whenIdle(), timeout(drainMs)]);
    for (const request of [...this.#requests]) this.#stop(request);
    await this.#whenIdle();
  }

  /** Who asked for what, what runs, and what waits for what. */
  activity(): Activity {
    const builds = Array.from(this.#runs, ([key, run]) => ({
      ...run,
      pending: this.#describePending(key),
      expectedWallMs: this.#history.known(run.goal.derivation.name)?.wallMs,
    }));
    return describeActivity(this.#requests, builds, this.#graph.waitingFor(), (key) => this.#whyReadyWaits(key));
  }

  /** Who asks, and what the request of this id still waits for; undefined if there is no such request. */
  pendingOf(requestId: string): { readonly asker: Wanter; readonly builds: readonly PendingBuild[] } | undefined {
    const request = this.#findRequest(requestId);
    if (request === undefined) return undefined;
    const builds = Array.from(this.#graph.wantedBy(request), (key) => this.#describePending(key));
    return { asker: request.asker, builds };
  }

  /** The running build of this record. */
  findBuild(recordId: string): PendingBuild | undefined {
    for (const [key, { events }] of this.#runs) if (events.recordId === recordId) return this.#describePending(key);
    return undefined;
  }

  /** Gives up what a request still wants, and settles it as cancelled. False if there is no such request. */
  stopRequest(requestId: string): boolean {
    const request = this.#findRequest(requestId);
    if (request !== undefined) this.#stop(request);
    return request !== undefined;
  }

  /**
   * Gives up one build for these requests, as if it had failed for them: with it goes what needs it, and all else of a
   * request that does not keep going.
   */
  stopBuild({ key }: PendingBuild, requestIds: ReadonlySet<string>): void {
    for (const request of [...this.#graph.requestsOf(key)]) {
      if (!requestIds.has(request.id)) continue;
      this.#stop(request, request.keepGoing ? this.#graph.withNeeding(request, key) : undefined);
    }
  }

  async #runRequest(request: Request, plan: Plan): Promise<void> {
    const onAbort = () => this.#stop(request);
    request.signal?.addEventListener("abort", onAbort, { once: true });
    this.#requests.add(request);
    try {
      this.#graph.add(request, plan.goals);
      for (const goal of plan.goals) this.#join(request, goal);
      this.#pump();
      await request.whenSettled();
    } finally {
      this.#requests.delete(request);
      request.signal?.removeEventListener("abort", onAbort);
    }
    request.signal?.throwIfAborted();
  }

  #join(request: Request, goal: BuildGoal): void {
    let run = this.#runs.get(goal.key);
    if (run === undefined) {
      const readLog = (recordId: string) => this.#context.store.logs.readLog(recordId, { follow: true });
      run = {
        goal,
        first: request,
        events: new GoalEvents(readLog),
        abort: new StopController(),
        sinceMs: Date.now(),
        usedMicroseconds: 0,
      };
      this.#runs.set(goal.key, run);
    }
    request.expect(goal, run.events.join(request.tell));
  }

  /** Starts what is ready, as far as there are slots. */
  #pump(): void {
    while (!this.#isDraining && this.#graph.running - this.#settling < this.#maxJobs) {
      const key = this.#graph.takeReady();
      if (key === undefined) break;
      const run = this.#runs.get(key);
      if (run === undefined) throw new Error(`the goal ${key} is ready, but nothing is known of it`);
      this.#order.start(this.#graph.requestsOf(key));
      const nowMs = Date.now();
      this.tallies.waiting.note((nowMs - run.sinceMs) / 1000);
      run.sinceMs = nowMs;
      this.#running.add(run);
      run.ended = this.#run(run);
    }
    if (this.#order.heldBack === undefined) return;
    this.#lookAgain ??= setTimeout(() => {
      this.#lookAgain = undefined;
      this.#pump();
    }, lookAgainMs).unref();
  }

  /** Nothing is looked up for it: it is asked for whenever a build may start. */
  #expectedOf(key: GoalKey): Expected {
    const run = this.#runs.get(key);
    const usage = run && this.#history.known(run.goal.derivation.name);
    const declared = run?.first.options.limits?.memoryBytes ?? 0;
    return { cpuMicroseconds: usage?.cpuMicroseconds ?? 0, memoryBytes: usage?.memoryBytes ?? declared };
  }

  #describePlanned({ drvPath, derivation }: BuildGoal, isWatched: boolean) {
    const { name } = derivation;
    const expectedWallMs = (isWatched ? this.#history.find(name) : this.#history.known(name))?.wallMs;
    return { drvPath, name, ...(expectedWallMs !== undefined && { expectedWallMs }) };
  }

  /** Of what waits for no other build. */
  #whyReadyWaits(key: GoalKey): WaitReason {
    if (this.#isDraining) return { kind: "stopping" };
    const { heldBack } = this.#order;
    if (heldBack !== undefined)
      // whatever is behind it waits for the same
      return { kind: "memory", neededBytes: heldBack.neededBytes, freeBytes: heldBack.freeBytes };
    return { kind: this.#order.isAnothersTurn(this.#graph.requestsOf(key)) ? "share" : "slot" };
  }

  async #run(run: Run): Promise<void> {
    const { goal } = run;
    const { leases } = this.#context.store;
    const owner = `build of ${goal.key}`;
    const { result, lastLogLines } = await this.#buildGoal(run, owner);
    this.tallies.noteResult(result.status);
    if (run.isSettling) this.#settling -= 1;
    this.#order.end(goal.key, run.usedMicroseconds);
    if (result.status === "built" && run.resources) this.#history.note(goal.derivation.name, run.resources);
    this.#running.delete(run);
    if (this.#runs.get(goal.key) === run) this.#runs.delete(goal.key); // else another one waits for this one's end
    const { drvPath, derivation } = goal;
    run.events.emit({ kind: "build-finished", drvPath, name: derivation.name, result, lastLogLines });

    const failed = new Set<Request>();
    for (const { end, wantedBy } of this.#graph.finish(goal.key, result.error === undefined ? "succeeded" : "failed")) {
      if (end.kind === "dependency-failed") {
        this.tallies.noteResult("dependency-failed");
        this.#runs.delete(end.key);
      }
      for (const request of wantedBy) {
        if (end.kind === "succeeded") leases.take(request.leaseOwner, Object.values(result.outputs));
        else if (!request.keepGoing) failed.add(request);
        if (end.kind === "dependency-failed") {
          const prevented = dependencyFailed(this.#context, request.goalOf(end.key), goal, result);
          this.#settle(request, end.key, prevented);
        } else {
          request.settle(end.key, result);
        }
      }
    }
    leases.release(owner);
    for (const request of failed) this.#stop(request);
    this.#pump();
  }

  #buildGoal(run: Run, leaseOwner: string): Promise<BuildOutcome> {
    const { goal, first } = run;
    const { leases } = this.#context.store;
    return buildGoal(this.#context, goal, {
      ...{ asked: first.options, cores: this.#cores, leaseOwner, signal: run.abort },
      onJailFree: () => {
        run.isSettling = true;
        this.#settling += 1;
        this.#pump();
      },
      onResources: (resources) => {
        run.usedMicroseconds += usageOf(resources).cpuMicroseconds;
        run.resources = resources;
      },
      onEvent: (event) => run.events.emit(event),
      hold: (paths) => void leases.take(leaseOwner, paths),
    });
  }

  /** Gives up what a request still wants, or some of it: what nobody else wants is not started, or is cancelled. */
  #stop(request: Request, some?: readonly GoalKey[]): void {
    const pending = some ?? [...this.#graph.wantedBy(request)];
    const sharers = this.#onSharedGivenUp === undefined ? [] : this.#sharersOf(request, pending);
    const dropped = this.#graph.withdraw(request, some);
    for (const key of pending) this.#runs.get(key)?.events.leave(request.tell);
    for (const key of dropped.waiting) this.#runs.delete(key);
    for (const key of dropped.running) {
      const run = this.#runs.get(key);
      if (run?.ended === undefined) throw new Error(`the goal ${key} runs, but nothing is known of it`);
      this.#runs.delete(key);
      run.abort.abort();
      request.waitFor(run.ended);
    }
    for (const key of pending) this.#settle(request, key, cancelled(this.#context, request.goalOf(key)));
    this.#pump();
    if (sharers.length > 0) this.#onSharedGivenUp?.(sharers);
  }

  #sharersOf(request: Request, keys: readonly GoalKey[]): string[] {
    const sharers = new Set<string>();
    for (const key of keys)
      for (const other of this.#graph.requestsOf(key)) if (other !== request) sharers.add(other.id);
    return [...sharers];
  }

  #findRequest(id: string): Request | undefined {
    for (const request of this.#requests) if (request.id === id) return request;
    return undefined;
  }

  #describePending(key: GoalKey): PendingBuild {
    const run = this.#runs.get(key);
    if (run === undefined) throw new Error(`the goal ${key} is wanted, but nothing is known of it`);
    const { drvPath, derivation } = run.goal;
    const { recordId } = run.events;
    const wantedBy = Array.from(this.#graph.requestsOf(key), ({ asker }) => asker);
    const isRunning = this.#running.has(run);
    return { key, drvPath, name: derivation.name, ...(recordId && { recordId }), isRunning, wantedBy };
  }

  /** Settles a goal that did not run for this request, and tells it so. */
  #settle(request: Request, key: GoalKey, result: BuildResult): void {
    const { drvPath, derivation } = request.goalOf(key);
    request.tell({ kind: "build-finished", drvPath, name: derivation.name, result, lastLogLines: [] });
    request.settle(key, result);
  }

  async #whenIdle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(Array.from(this.#running, (run) => run.ended));
  }
}

const lookAgainMs = 1000;
/** For how many builds of a plan the records are asked, at some 30 µs each; of the others is told what is in memory. */
const mostLookedUp = 100;
