/**
 * A request that others than its client may watch: what has happened in it, how it ended, and who watches. Of logs
 * nothing is kept here; whoever watches reads them from their files, as quickly as he takes them.
 */
import type { BuildResult } from "../../derivations/build-result.ts";
import { CloisterError } from "../../derivations/error.ts";
import type { StorePath } from "../../derivations/store-path.ts";
import type { BuildEvent } from "../api/events.ts";
import type { Caller } from "../api/service.ts";
import { ServerError } from "./errors.ts";
import type { Asked, Ending, KeptEvent } from "./kept-values.ts";

/** Of the last lines of failed builds, so much is kept for those who come later. */
const keptLinesBytes = 256 * 1024;

export class WatchedRequest {
  readonly id: string;
  readonly caller: Caller;
  readonly asked: Asked;
  readonly startedAtMs: number;
  /** For its builds. */
  readonly abort = new AbortController();
  readonly events: KeptEvent[];
  /** How many of the events are in the database. */
  writtenEvents: number;
  /** It needs no client, and has its row. */
  isKept = false;
  /** Its client went away; it goes on while others want what it wants. */
  onlyIfShared = false;
  isCancelled = false;
  /** Clients that wait for its end. */
  watchers = 0;
  /** Resolves when its builds have ended and all is written. */
  settled: Promise<unknown> = Promise.resolve();
  #ending: Ending | { readonly kind: "suspended" } | undefined;
  #change = Promise.withResolvers<void>();
  #linesBytes = 0;
  /** Of running builds: the ids of their records, and those that have written nothing to their logs yet. */
  readonly #records = new Map<StorePath, string>();
  readonly #silent = new Map<string, PromiseWithResolvers<void>>();

  constructor(id: string, caller: Caller, asked: Asked, startedAtMs: number, events: readonly KeptEvent[] = []) {
    this.id = id;
    this.caller = caller;
    this.asked = asked;
    this.startedAtMs = startedAtMs;
    this.events = [...events];
    this.writtenEvents = events.length;
  }

  /** Under which its paths are held. */
  get leaseOwner(): string {
    return leaseOwnerOf(this.id);
  }

  note(event: BuildEvent): void {
    switch (event.kind) {
      case "build-log":
        this.#noteSpoken(this.#records.get(event.drvPath));
        return;
      case "build-started":
        this.#noteSpoken(this.#records.get(event.drvPath)); // of a check's other round
        this.#records.set(event.drvPath, event.recordId);
        this.#silent.set(event.recordId, Promise.withResolvers());
        this.#push(event);
        return;
      case "build-finished":
        this.#noteSpoken(this.#records.get(event.drvPath));
        this.#records.delete(event.drvPath);
        this.#push(this.#withinBounds(event));
        return;
      case "plan":
        this.#push(event);
        return;
      default:
        event satisfies never;
    }
  }

  end(ending: Ending | { readonly kind: "suspended" }): void {
    this.#ending = ending;
    for (const recordId of this.#silent.keys()) this.#noteSpoken(recordId);
    this.#wake();
  }

  /** Resolves when the build of a record has written to its log, or will not. */
  whenSpoken(recordId: string): Promise<void> | undefined {
    return this.#silent.get(recordId)?.promise;
  }

  /** What happens, from the beginning to the end. */
  async *follow(signal: AbortSignal): AsyncGenerator<KeptEvent> {
    const aborted = new Promise<void>((resolve) => {
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
    for (let index = 0; ; ) {
      signal.throwIfAborted();
      const event = this.events[index];
      if (event !== undefined) {
        index += 1;
        yield event;
      } else if (this.#ending !== undefined) {
        return;
      } else {
        await Promise.race([this.#change.promise, aborted]);
      }
    }
  }

  /** Once it has ended. Throws what it ended with, REQUEST_SUSPENDED. */
  results(): readonly BuildResult[] {
    if (this.#ending === undefined) throw new Error(`the request ${this.id} has not ended`);
    if (this.#ending.kind === "suspended") throw new ServerError("REQUEST_SUSPENDED", { id: this.id });
    return resultsOf(this.#ending);
  }

  #push(event: KeptEvent): void {
    this.events.push(event);
    this.#wake();
  }

  #wake(): void {
    this.#change.resolve();
    this.#change = Promise.withResolvers();
  }

  #noteSpoken(recordId: string | undefined): void {
    if (recordId === undefined) return;
    this.#silent.get(recordId)?.resolve();
    this.#silent.delete(recordId);
  }

  /** With many failures only the first ones keep their last lines: their logs have them. */
  #withinBounds(event: KeptEvent & { kind: "build-finished" }): KeptEvent {
    for (const line of event.lastLogLines) this.#linesBytes += line.length;
    return this.#linesBytes <= keptLinesBytes ? event : { ...event, lastLogLines: [] };
  }
}

export function leaseOwnerOf(requestId: string): string {
  return `request ${requestId}`;
}

/** Throws what the request ended with. */
export function resultsOf(ending: Ending): readonly BuildResult[] {
  if (ending.kind === "error") throw new CloisterError(ending.error);
  return ending.results;
}
