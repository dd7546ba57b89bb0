/**
 * The requests that outlive their clients: detached ones, and those whose client went away and that were to be kept. Each
 * has a row in the database, so that the next daemon takes it up again, and is kept for some time after its end with what
 * it made. All other requests are the scheduler's alone, and cost nothing here.
 */
import type { BuildResult } from "../../derivations/build-result.ts";
import type { DerivedPath } from "../../derivations/derived-path.ts";
import { CloisterError } from "../../derivations/error.ts";
import type { StorePath } from "../../derivations/store-path.ts";
import type { Store } from "../../store/store.ts";
import type { Activity } from "../api/activity.ts";
import { ProtocolError } from "../api/errors.ts";
import type { BuildEvent } from "../api/events.ts";
import { type CancelResult, makeRequestId, type OnDisconnect } from "../api/requests.ts";
import type { AttachOptions, BuildOptions, BuildSettingsAsked, Caller } from "../api/service.ts";
import type { Scheduler } from "../scheduler/scheduler.ts";
import { cancelBuild, describeCancelled, mayStop } from "./cancel.ts";
import { EndedRequests, type Retention } from "./ended-requests.ts";
import { ServerError } from "./errors.ts";
import { type Ending, endingOf, isCutShort, type KeptEvent, keptValues } from "./kept-values.ts";
import { errorFields, type Logger } from "./logger.ts";
import { replay } from "./replay.ts";
import { endsOfCutBuilds, RequestJournal, readEvents } from "./request-journal.ts";
import { resultsOf, WatchedRequest } from "./watched-request.ts";

export interface RegistryParts {
  readonly store: Store;
  readonly scheduler: Scheduler;
  readonly log: Logger;
  readonly noteEvent: (event: BuildEvent) => void;
  readonly retention?: Partial<Retention>;
}

/** How many requests one user may have that go on without a client. */
const openPerUser = 100;

const neverAborted = new AbortController().signal;

export class RequestRegistry {
  readonly #parts: RegistryParts;
  /** Those that have not ended. */
  readonly #open = new Map<string, WatchedRequest>();
  readonly #ended: EndedRequests;
  readonly #journal: RequestJournal;
  #isStopping = false;

  constructor(parts: RegistryParts) {
    this.#parts = parts;
    this.#ended = new EndedRequests(parts.store, parts.retention);
    this.#journal = new RequestJournal(parts.store, parts.log);
  }

  /** How many go on without a client. */
  get keptRequests(): number {
    let count = 0;
    for (const request of this.#open.values()) if (request.isKept) count += 1;
    return count;
  }

  /** Throws DAEMON_STOPPING, REQUESTS_TOO_MANY, STORE_DISK_FULL, STORE_DATABASE_UNUSABLE. */
  async submit(targets: readonly DerivedPath[], asked: BuildSettingsAsked, caller: Caller): Promise<string> {
    if (this.#isStopping) throw new ServerError("DAEMON_STOPPING", {});
    const request = this.#make(targets, asked, caller);
    this.#keep(request);
    this.#run(request);
    await this.#parts.store.makeDurable();
    return request.id;
  }

  /** A build whose client is there, and that may go on without it. */
  async build(
    targets: readonly DerivedPath[],
    options: BuildOptions & { readonly onDisconnect: Exclude<OnDisconnect, "cancel"> },
    caller: Caller,
    leaseOwner: string,
  ): Promise<readonly BuildResult[]> {
    const { signal, onEvent, onDisconnect, ...asked } = options;
    signal?.throwIfAborted();
    const { store } = this.#parts;
    const request = this.#make(targets, asked, caller);
    const left = Promise.withResolvers<never>();
    let tell = onEvent;
    const onAbort = () => {
      if (isClientGone(signal?.reason)) {
        tell = undefined;
        request.watchers -= 1;
        this.#onClientGone(request, onDisconnect);
        left.reject(signal?.reason);
      } else {
        request.abort.abort(signal?.reason);
      }
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    request.watchers += 1;
    try {
      const results = await Promise.race([this.#run(request, (event) => tell?.(event)), left.promise]);
      for (const { outputs } of results) store.leases.take(leaseOwner, Object.values(outputs));
      return results;
    } finally {
      signal?.removeEventListener("abort", onAbort);
      if (!request.isKept) store.leases.release(request.leaseOwner);
    }
  }

  /** Throws REQUEST_UNKNOWN, REQUEST_NOT_YOURS, REQUEST_NOT_DETACHED, REQUEST_UNREADABLE, REQUEST_SUSPENDED. */
  async attach(id: string, options: AttachOptions, caller: Caller): Promise<readonly BuildResult[]> {
    const { signal = neverAborted } = options;
    signal.throwIfAborted();
    const request = this.#open.get(id);
    if (request === undefined) return this.#attachEnded(id, options, caller);
    assertOwner(id, request.caller.uid, caller);
    request.watchers += 1;
    try {
      const events = request.follow(signal);
      if (options.onEvent === undefined) for await (const _ of events);
      else await this.#replay(events, options.onEvent, signal, request);
      return request.results();
    } finally {
      request.watchers -= 1;
      this.#dropIfUnshared(request);
    }
  }

  /** Throws REQUEST_UNKNOWN, REQUEST_NOT_YOURS. */
  cancel(id: string, caller: Caller): CancelResult {
    const { scheduler } = this.#parts;
    const request = this.#open.get(id);
    const pending = scheduler.pendingOf(id);
    if (request === undefined && pending === undefined) {
      const ended = this.#ended.find(id);
      if (ended === undefined) return cancelBuild(scheduler, id, caller);
      assertOwner(id, ended.uid, caller);
      return { kind: "request", builds: [], dropped: 0 };
    }
    const owner = request?.caller.uid ?? pending?.asker.uid;
    if (!mayStop(owner, caller)) throw new ServerError("REQUEST_NOT_YOURS", { id, uid: caller.uid, owner: owner ?? 0 });
    const result = describeCancelled(id, pending?.builds ?? []);
    if (request !== undefined) request.isCancelled = true;
    if (!scheduler.stopRequest(id)) request?.abort.abort(new ProtocolError("REQUEST_CANCELLED", { method: "build" }));
    return result;
  }

  /** What the scheduler says, with what is known here. */
  describe(activity: Activity): Activity {
    const requests = activity.requests.map((said) => {
      const request = this.#open.get(said.id);
      return request === undefined ? said : { ...said, detached: request.isKept, clients: request.watchers };
    });
    return { ...activity, requests };
  }

  /** A request gave up what these want as well: those of them that nobody waits for end, if they share nothing more. */
  onSharedGivenUp(sharers: readonly string[]): void {
    for (const id of sharers) {
      const request = this.#open.get(id);
      if (request !== undefined) this.#dropIfUnshared(request);
    }
  }

  /** A path was made a root: what held it for its user needs not do so any more. */
  noteRoot(path: StorePath, { uid }: Caller): void {
    this.#ended.releasePath(path, uid);
  }

  /** Takes up what an earlier daemon left; called once, before anybody can ask for anything. */
  takeUp(): void {
    const { store, log } = this.#parts;
    for (const kept of store.requests.list()) {
      if ("endedAtMs" in kept) {
        this.#ended.add(kept, keptValues.ending.decode(kept.ending));
        continue;
      }
      const asked = keptValues.asked.decode(kept.asked);
      if (asked === undefined) {
        const ending = {
          kind: "error",
          error: new ServerError("REQUEST_UNREADABLE", { id: kept.id }).toData(),
        } as const;
        this.#ended.add(this.#journal.endRow(kept, ending), ending);
        continue;
      }
      const caller = { uid: kept.uid, gid: kept.gid, pid: 0, trusted: false };
      const request = new WatchedRequest(kept.id, caller, asked, kept.startedAtMs, [...readEvents(store, kept.id)]);
      request.isKept = true;
      this.#hold(request);
      for (const event of endsOfCutBuilds(store, request.events)) request.note(event);
      this.#journal.note(request);
      this.#run(request);
      log.info({ request: kept.id, uid: kept.uid }, "taking up a request again");
    }
    this.#ended.expire();
  }

  /** From now on what is cancelled is the daemon's ending, and goes on with the next one. */
  stop(): void {
    this.#isStopping = true;
  }

  /** Resolves when the builds of all have ended and all is written. */
  async settle(): Promise<void> {
    while (this.#open.size > 0) await Promise.all(Array.from(this.#open.values(), ({ settled }) => settled));
    this.#journal.flush();
    this.#ended.close();
  }

  #make(targets: readonly DerivedPath[], asked: BuildSettingsAsked, caller: Caller): WatchedRequest {
    const { signal: _, ...settings } = asked as BuildSettingsAsked & { signal?: AbortSignal };
    return new WatchedRequest(makeRequestId(), caller, { ...settings, targets }, this.#parts.store.nowMs());
  }

  /** Writes its row. Throws REQUESTS_TOO_MANY, STORE_DISK_FULL, STORE_DATABASE_UNUSABLE. */
  #keep(request: WatchedRequest): void {
    const { uid } = request.caller;
    let count = 0;
    for (const other of this.#open.values()) if (other.isKept && other.caller.uid === uid) count += 1;
    if (count >= openPerUser) throw new ServerError("REQUESTS_TOO_MANY", { uid, limit: openPerUser });
    this.#journal.begin(request);
    this.#hold(request);
  }

  #hold({ leaseOwner, asked }: WatchedRequest): void {
    this.#parts.store.leases.take(
      leaseOwner,
      asked.targets.map((target) => (target.kind === "opaque" ? target.path : target.drvPath)),
    );
  }

  /** Rejects with what the build throws; a request that nobody waits for is settled all the same. */
  #run(request: WatchedRequest, tell?: (event: BuildEvent) => unknown): Promise<readonly BuildResult[]> {
    const { scheduler, noteEvent } = this.#parts;
    const { id, caller, abort, leaseOwner, asked } = request;
    const { targets, ...settings } = asked;
    this.#open.set(id, request);
    const onEvent = (told: BuildEvent) => {
      const event = told.kind === "plan" ? { ...told, requestId: id } : told;
      noteEvent(event);
      if (this.#isStopping && !request.isCancelled && isCancelled(event)) return undefined; // it is not, in the long run
      request.note(event);
      if (event.kind !== "build-log") this.#journal.note(request);
      return tell?.(event);
    };
    const owner = leaseOwner;
    const building = scheduler.build(targets, { ...settings, id, caller, owner, onEvent, signal: abort.signal });
    request.settled = building.then(
      (results) => this.#onEnd(request, { kind: "results", results }),
      (error: unknown) => this.#onEnd(request, endingOf(error)),
    );
    return building;
  }

  #onEnd(request: WatchedRequest, ending: Ending): void {
    this.#open.delete(request.id);
    if (!request.isKept) {
      request.end(ending);
    } else if (!request.isCancelled && isCutShort(ending, this.#isStopping)) {
      this.#journal.write(request);
      request.end({ kind: "suspended" });
    } else {
      this.#ended.add(this.#journal.end(request, ending), ending);
      this.#parts.store.leases.release(request.leaseOwner); // what it made is held by the ended one
      this.#ended.expire();
      request.end(ending);
    }
  }

  #onClientGone(request: WatchedRequest, onDisconnect: OnDisconnect): void {
    if (onDisconnect === "keep-if-shared" && !this.#isShared(request)) {
      request.abort.abort(new ProtocolError("CLIENT_GONE", { method: "build" }));
      return;
    }
    try {
      this.#keep(request);
      request.onlyIfShared = onDisconnect === "keep-if-shared";
    } catch (error) {
      const fields = { request: request.id, ...errorFields(error) };
      this.#parts.log.error(fields, "a request could not be kept without its client");
      request.abort.abort(error);
    }
  }

  #dropIfUnshared(request: WatchedRequest): void {
    if (!this.#isLeft(request) || !this.#open.has(request.id) || this.#isShared(request)) return;
    request.isCancelled = true;
    this.#parts.scheduler.stopRequest(request.id);
  }

  /** Whether it goes on for others alone. */
  #isLeft({ onlyIfShared, watchers }: WatchedRequest): boolean {
    return onlyIfShared && watchers === 0;
  }

  /** Whether somebody wants one of its builds who is still there, or is to be kept in any case. */
  #isShared({ id }: WatchedRequest): boolean {
    const counts = (other: string) => {
      const request = this.#open.get(other);
      return other !== id && (request === undefined || !this.#isLeft(request));
    };
    const { builds = [] } = this.#parts.scheduler.pendingOf(id) ?? {};
    return builds.some(({ wantedBy }) => wantedBy.some((other) => counts(other.id)));
  }

  async #attachEnded(id: string, { onEvent, signal = neverAborted }: AttachOptions, caller: Caller) {
    const { store, scheduler } = this.#parts;
    const ended = this.#ended.find(id);
    if (ended === undefined) {
      if (scheduler.pendingOf(id) !== undefined) throw new ServerError("REQUEST_NOT_DETACHED", { id });
      throw new ServerError("REQUEST_UNKNOWN", { id });
    }
    assertOwner(id, ended.uid, caller);
    const row = store.requests.find(id);
    const ending = row && "ending" in row ? keptValues.ending.decode(row.ending) : undefined;
    if (ending === undefined) throw new ServerError("REQUEST_UNREADABLE", { id });
    if (onEvent !== undefined) await this.#replay(readEvents(store, id), onEvent, signal);
    return resultsOf(ending);
  }

  #replay(
    events: AsyncIterable<KeptEvent> | Iterable<KeptEvent>,
    onEvent: NonNullable<AttachOptions["onEvent"]>,
    signal: AbortSignal,
    request?: WatchedRequest,
  ): Promise<void> {
    const { logs } = this.#parts.store;
    return replay({
      events,
      onEvent,
      signal,
      readLog: (recordId, stop) => logs.readLog(recordId, { follow: true, signal: stop }),
      whenSpoken: (recordId) => request?.whenSpoken(recordId),
    });
  }
}

/** Throws REQUEST_NOT_YOURS. */
function assertOwner(id: string, owner: number, caller: Caller): void {
  if (!mayStop(owner, caller)) throw new ServerError("REQUEST_NOT_YOURS", { id, uid: caller.uid, owner });
}

function isCancelled(event: BuildEvent): boolean {
  return event.kind === "build-finished" && event.result.status === "cancelled";
}

function isClientGone(reason: unknown): boolean {
  return reason instanceof CloisterError && reason.code === "CLIENT_GONE";
}
