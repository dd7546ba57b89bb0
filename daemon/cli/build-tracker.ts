/** What is known of a request's builds by what its events have told: pure, for whoever shows it. */
import type { StorePath } from "../../derivations/store-path.ts";
import type { BuildEvent } from "../api/events.ts";
import { findPhase, LineSplitter, lastWritten } from "./log-lines.ts";

export type Plan = BuildEvent & { readonly kind: "plan" };
export type Finished = BuildEvent & { readonly kind: "build-finished" };

export interface RunningBuild {
  readonly name: string;
  readonly recordId: string;
  /** On the clock that the tracker was given. */
  readonly sinceMs: number;
  /** How long builds of this name took before. */
  readonly expectedMs?: number;
  phase?: string;
  /** The last thing in its log that is not empty: bytes of the builder. */
  lastLine?: Uint8Array;
}

export class BuildTracker {
  /** In the order of their starts. */
  readonly running = new Map<StorePath, RunningBuild>();
  /** Of the plan, what has not started: how long it may take, where that is known. */
  readonly waiting = new Map<StorePath, number | undefined>();
  /** Of the builds that ran and failed, and of those that were not built because of them. */
  readonly failed: Finished[] = [];
  readonly prevented: Finished[] = [];
  planned = 0;
  finished = 0;
  cancelled = 0;
  readonly startedAtMs: number;
  readonly #clock: () => number;
  readonly #splitters = new Map<StorePath, LineSplitter>();

  constructor(clock: () => number) {
    this.#clock = clock;
    this.startedAtMs = clock();
  }

  note(event: BuildEvent): void {
    switch (event.kind) {
      case "plan":
        this.planned = event.toBuild.length;
        for (const { drvPath, expectedWallMs } of event.toBuild) this.waiting.set(drvPath, expectedWallMs);
        return;
      case "build-started":
        this.#noteStart(event);
        return;
      case "build-log":
        this.#noteLog(event);
        return;
      case "build-finished":
        this.#noteEnd(event);
        return;
      default:
        event satisfies never;
    }
  }

  #noteStart({ drvPath, name, recordId }: BuildEvent & { kind: "build-started" }): void {
    const expectedMs = this.waiting.get(drvPath);
    this.waiting.delete(drvPath);
    this.#splitters.delete(drvPath); // a check builds more than once
    this.running.set(drvPath, {
      ...{ name, recordId, sinceMs: this.#clock() },
      ...(expectedMs !== undefined && { expectedMs }),
    });
  }

  #noteLog({ drvPath, bytes }: BuildEvent & { kind: "build-log" }): void {
    const build = this.running.get(drvPath);
    if (build === undefined) return;
    let splitter = this.#splitters.get(drvPath);
    if (splitter === undefined) {
      splitter = new LineSplitter();
      this.#splitters.set(drvPath, splitter);
    }
    for (const line of splitter.push(bytes)) {
      const phase = findPhase(line);
      if (phase === undefined) keepLine(build, line);
      else build.phase = phase;
    }
    if (splitter.partial[0] !== 0x40) keepLine(build, splitter.partial);
  }

  #noteEnd(event: Finished): void {
    const { drvPath, result } = event;
    this.finished += 1;
    this.running.delete(drvPath);
    this.waiting.delete(drvPath);
    this.#splitters.delete(drvPath);
    if (result.status === "cancelled") this.cancelled += 1;
    else if (result.status === "dependency-failed") this.prevented.push(event);
    else if (result.error !== undefined) this.failed.push(event);
  }
}

/** How much of a line is kept to be shown, in bytes. */
const keptBytes = 2048;

function keepLine(build: RunningBuild, line: Uint8Array): void {
  const written = lastWritten(line);
  if (written.length > 0) build.lastLine = written.slice(0, keptBytes);
}
