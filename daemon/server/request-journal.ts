/** What is written of requests that go on without a client: what was asked, what happens, a moment later, and how they end. */
import type { BuildResult } from "../../derivations/build-result.ts";
import type { StorePath } from "../../derivations/store-path.ts";
import { interruptedBuild } from "../../store/errors.ts";
import type { EndedRequest, KeptRequest } from "../../store/kept-requests.ts";
import type { Store } from "../../store/store.ts";
import { type Ending, type KeptEvent, keptValues } from "./kept-values.ts";
import { errorFields, type Logger } from "./logger.ts";
import type { WatchedRequest } from "./watched-request.ts";

/** How long what happened may wait for more before it is written, in milliseconds. */
const gatherMs = 50;

export class RequestJournal {
  readonly #store: Store;
  readonly #log: Logger;
  readonly #unwritten = new Set<WatchedRequest>();

  constructor(store: Store, log: Logger) {
    this.#store = store;
    this.#log = log;
  }

  /** Throws STORE_DISK_FULL, STORE_DATABASE_UNUSABLE. */
  begin(request: WatchedRequest): void {
    this.#store.requests.insert(rowOf(request));
    request.isKept = true;
    this.note(request);
  }

  /** Something happened in it. */
  note(request: WatchedRequest): void {
    if (!request.isKept || request.writtenEvents === request.events.length) return;
    this.#unwritten.add(request);
    if (this.#unwritten.size === 1) setTimeout(() => this.flush(), gatherMs);
  }

  flush(): void {
    for (const request of this.#unwritten) this.write(request);
    this.#unwritten.clear();
  }

  /** What cannot be written now is written with what comes next. */
  write(request: WatchedRequest): void {
    const { id, events, writtenEvents } = request;
    this.#unwritten.delete(request);
    if (writtenEvents === events.length) return;
    try {
      this.#store.requests.append(id, writtenEvents, events.slice(writtenEvents).map(keptValues.event.encode));
      request.writtenEvents = events.length;
    } catch (error) {
      this.#log.error({ request: id, ...errorFields(error) }, "what happened in a request could not be written");
    }
  }

  end(request: WatchedRequest, ending: Ending): EndedRequest {
    this.#unwritten.delete(request);
    const { events, writtenEvents } = request;
    return this.endRow(rowOf(request), ending, events.slice(writtenEvents), writtenEvents);
  }

  endRow(kept: KeptRequest, ending: Ending, events: readonly KeptEvent[] = [], firstNumber = 0): EndedRequest {
    const end = { endedAtMs: this.#store.nowMs(), ending: keptValues.ending.encode(ending) };
    try {
      this.#store.requests.append(kept.id, firstNumber, events.map(keptValues.event.encode), end);
    } catch (error) {
      const fields = { request: kept.id, ...errorFields(error) };
      this.#log.error(fields, "the end of a request could not be written: the next daemon does it again");
    }
    return { ...kept, ...end };
  }
}

/** In pieces: a request may have had thousands of builds. */
export function* readEvents(store: Store, id: string): Generator<KeptEvent> {
  const atOnce = 100;
  for (let from = 0; ; from += atOnce) {
    const rows = store.requests.events(id, from, atOnce);
    for (const row of rows) {
      const event = keptValues.event.decode(row);
      if (event !== undefined && event.kind !== "build-log") yield event;
    }
    if (rows.length < atOnce) return;
  }
}

/** The ends of the builds that ran when the daemon died: as their records were settled. */
export function endsOfCutBuilds(store: Store, events: readonly KeptEvent[]): KeptEvent[] {
  const running = new Map<StorePath, KeptEvent & { kind: "build-started" }>();
  for (const event of events) {
    if (event.kind === "build-started") running.set(event.drvPath, event);
    if (event.kind === "build-finished") running.delete(event.drvPath);
  }
  return Array.from(running.values(), ({ drvPath, name, recordId }) => {
    const record = store.records.find(recordId);
    const outputs = Object.entries(record?.outputs ?? {}).map(([id, { path }]) => [id, path] as const);
    const result: BuildResult =
      record?.status === "done"
        ? { drvPath, recordId, status: "built", outputs: Object.fromEntries(outputs) }
        : { drvPath, recordId, status: "cancelled", outputs: {}, error: record?.error ?? interruptedBuild(name) };
    return { kind: "build-finished", drvPath, name, result, lastLogLines: [] };
  });
}

function rowOf({ id, caller: { uid, gid }, startedAtMs, asked }: WatchedRequest): KeptRequest {
  return { id, uid, gid, startedAtMs, asked: keptValues.asked.encode(asked) };
}
