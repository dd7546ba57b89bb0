/**
 * Makes paths valid. Requests that come in one turn of the event loop share one transaction; each is checked by itself
 * first, so one that is refused does no harm to the others. What a request registers becomes valid all at once.
 */
import type { PathInfo } from "../derivations/path-info.ts";
import type { StorePath } from "../derivations/store-path.ts";
import { crashPoint } from "./crash-points.ts";
import { type Connection, whenNotBusy } from "./database.ts";
import { StoreError } from "./errors.ts";
import type { ReferenceGraph } from "./reference-graph.ts";
import type { DerivationOutputRow, ValidPaths } from "./valid-paths.ts";

export interface Registration {
  readonly infos: readonly PathInfo[];
  readonly derivationOutputs: readonly DerivationOutputRow[];
}

interface Pending {
  readonly registration: Registration;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class Registrar implements AsyncDisposable {
  readonly #connection: Connection;
  readonly #paths: ValidPaths;
  readonly #graph: ReferenceGraph;
  readonly #onRegistered: () => void;
  #pending: Pending[] = [];
  #working: Promise<void> = Promise.resolve();
  #isClosed = false;

  /** `onRegistered` is called after each commit. */
  constructor(connection: Connection, paths: ValidPaths, graph: ReferenceGraph, onRegistered: () => void) {
    this.#connection = connection;
    this.#paths = paths;
    this.#graph = graph;
    this.#onRegistered = onRegistered;
  }

  /**
   * Resolves when all of it is valid. A path that is valid already is left as it is.
   * Throws STORE_REFERENCE_NOT_VALID, STORE_REFERENCE_CYCLE, STORE_DISK_FULL, STORE_DATABASE_UNUSABLE, STORE_CLOSED.
   */
  register(registration: Registration): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) throw new StoreError("STORE_CLOSED", { doing: "registering" });
      if (this.#pending.length === 0) this.#working = this.#working.then(endOfTurn).then(() => this.#flush());
      this.#pending.push({ registration, resolve, reject });
    });
  }

  /** Throws what `register` would refuse now. */
  check(infos: readonly PathInfo[]): void {
    this.#sortFresh(infos, new Map());
  }

  /** Finishes what was asked for, and takes nothing more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await this.#working;
  }

  async #flush(): Promise<void> {
    const batch = this.#pending;
    this.#pending = [];
    try {
      await this.#write(batch);
    } catch (error) {
      if (batch.length === 1) batch[0]?.reject(error);
      else for (const pending of batch) await this.#write([pending]).catch((own: unknown) => pending.reject(own));
    }
  }

  /** Settles what it wrote and what it refuses; throws, with nothing written, if the database refuses. */
  async #write(batch: readonly Pending[]): Promise<void> {
    const accepted: { readonly pending: Pending; readonly order: readonly PathInfo[] }[] = [];
    const ids = new Map<StorePath, number>();
    await whenNotBusy(this.#connection, () => {
      accepted.length = 0;
      ids.clear();
      crashPoint("register:before-commit");
      this.#paths.transaction(() => {
        this.#paths.refresh(); // here nobody can write between the look and what is checked by it, and it costs no lock
        for (const pending of batch) {
          const order = tryOrReject(pending, () => this.#sortFresh(pending.registration.infos, ids));
          if (order === undefined) continue;
          accepted.push({ pending, order });
          this.#insert(order, pending.registration.derivationOutputs, ids);
        }
      });
      crashPoint("register:after-commit");
      for (const { order } of accepted)
        for (const info of order) {
          const id = ids.get(info.path) ?? 0;
          this.#graph.add(id, info.path, info.references);
          this.#paths.noteId(id);
        }
    });
    if (accepted.length > 0) this.#onRegistered();
    for (const { pending } of accepted) pending.resolve();
  }

  #insert(order: readonly PathInfo[], outputs: readonly DerivationOutputRow[], ids: Map<StorePath, number>): void {
    for (const info of order) {
      const id = this.#paths.insert(info);
      ids.set(info.path, id);
      for (const reference of info.references) {
        const referenceId = ids.get(reference) ?? this.#graph.findId(reference);
        if (referenceId === undefined) throw new Error(`the reference ${reference} was checked, but has no id`);
        this.#paths.insertReference(id, referenceId);
      }
    }
    for (const { drvPath, outputId, path } of outputs) {
      const drvId = ids.get(drvPath) ?? this.#graph.findId(drvPath);
      if (drvId !== undefined) this.#paths.insertOutput(drvId, outputId, path);
    }
  }

  /** The infos that are not valid yet, dependencies first. `fresh` are valid by this very transaction. */
  #sortFresh(infos: readonly PathInfo[], fresh: ReadonlyMap<StorePath, number>): PathInfo[] {
    const isThere = (path: StorePath) => fresh.has(path) || this.#graph.has(path);
    const wanted = new Map<StorePath, PathInfo>();
    for (const info of infos) if (!isThere(info.path)) wanted.set(info.path, info);
    for (const info of wanted.values())
      for (const reference of info.references)
        if (!wanted.has(reference) && !isThere(reference))
          throw new StoreError("STORE_REFERENCE_NOT_VALID", { path: info.path, reference });
    return sortByReferences(wanted);
  }
}

/** Throws STORE_REFERENCE_CYCLE. */
export function sortByReferences(infos: ReadonlyMap<StorePath, PathInfo>): PathInfo[] {
  const waitingFor = new Map<StorePath, number>();
  const referrers = new Map<StorePath, PathInfo[]>();
  for (const info of infos.values()) {
    let count = 0;
    for (const reference of info.references) {
      if (reference === info.path || !infos.has(reference)) continue;
      ++count;
      referrers.set(reference, [...(referrers.get(reference) ?? []), info]);
    }
    waitingFor.set(info.path, count);
  }
  const order = [...infos.values()].filter((info) => waitingFor.get(info.path) === 0);
  for (const info of order)
    for (const referrer of referrers.get(info.path) ?? []) {
      const count = (waitingFor.get(referrer.path) ?? 0) - 1;
      waitingFor.set(referrer.path, count);
      if (count === 0) order.push(referrer); // visited later in this very loop
    }
  if (order.length < infos.size) {
    const sorted = new Set(order);
    const paths = [...infos.values()].filter((info) => !sorted.has(info)).map((info) => info.path);
    throw new StoreError("STORE_REFERENCE_CYCLE", { paths });
  }
  return order;
}

/** All that came in this turn of the event loop has been taken by then. */
function endOfTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function tryOrReject<Value>(pending: Pending, compute: () => Value): Value | undefined {
  try {
    return compute();
  } catch (error) {
    pending.reject(error);
    return undefined;
  }
}
