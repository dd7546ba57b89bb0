/** Requests that have ended and can still be looked at, for a time and up to a number; so long they hold what they made. */
import type { StorePath } from "../../derivations/store-path.ts";
import type { EndedRequest } from "../../store/kept-requests.ts";
import type { Store } from "../../store/store.ts";
import type { Ending } from "./kept-values.ts";
import { leaseOwnerOf } from "./watched-request.ts";

export interface Retention {
  /** How long an ended request is kept, in milliseconds. */
  readonly keptMs: number;
  /** How many of one user's are. */
  readonly perUser: number;
}

const defaultRetention: Retention = { keptMs: 24 * 60 * 60 * 1000, perUser: 100 };

interface Ended {
  readonly id: string;
  readonly uid: number;
  readonly endedAtMs: number;
  readonly holds: Map<StorePath, Disposable>;
}

export class EndedRequests {
  readonly #store: Store;
  readonly #retention: Retention;
  readonly #byId = new Map<string, Ended>();
  #timer: NodeJS.Timeout | undefined;

  constructor(store: Store, retention: Partial<Retention> = {}) {
    this.#store = store;
    this.#retention = { ...defaultRetention, ...retention };
  }

  /** Its row is written, or will be. An ending that cannot be read holds nothing. */
  add({ id, uid, endedAtMs }: EndedRequest, ending: Ending | undefined): void {
    const paths = ending?.kind === "results" ? ending.results.flatMap(({ outputs }) => Object.values(outputs)) : [];
    const holds = new Map<StorePath, Disposable>();
    for (const path of new Set(paths)) holds.set(path, this.#store.leases.hold(`${leaseOwnerOf(id)} (ended)`, [path]));
    this.#byId.set(id, { id, uid, endedAtMs, holds });
  }

  find(id: string): { readonly uid: number } | undefined {
    this.expire();
    return this.#byId.get(id);
  }

  releasePath(path: StorePath, uid: number): void {
    for (const ended of this.#byId.values()) {
      if (ended.uid !== uid) continue;
      ended.holds.get(path)?.[Symbol.dispose]();
      ended.holds.delete(path);
    }
  }

  /** Forgets those whose time is over, and the oldest of those that are too many. */
  expire(): void {
    clearTimeout(this.#timer);
    const { keptMs, perUser } = this.#retention;
    const nowMs = this.#store.nowMs();
    const counts = new Map<number, number>();
    let oldestMs = Number.POSITIVE_INFINITY;
    for (const ended of [...this.#byId.values()].sort((one, other) => other.endedAtMs - one.endedAtMs)) {
      const count = (counts.get(ended.uid) ?? 0) + 1;
      counts.set(ended.uid, count);
      if (count > perUser || ended.endedAtMs + keptMs <= nowMs) this.#forget(ended);
      else oldestMs = ended.endedAtMs;
    }
    if (oldestMs === Number.POSITIVE_INFINITY) return;
    this.#timer = setTimeout(() => this.expire(), Math.max(1, oldestMs + keptMs - nowMs));
    this.#timer.unref();
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #forget({ id, holds }: Ended): void {
    this.#byId.delete(id);
    for (const hold of holds.values()) hold[Symbol.dispose]();
    this.#store.requests.delete(id);
  }
}
