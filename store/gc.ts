/**
 * Deletes what nothing keeps. Builds and clients go on meanwhile: marking is one walk in memory, everything after it goes
 * in small steps, and before each a path that someone has begun to hold in the meantime is taken out, with all that it
 * refers to. A path becomes invalid first, that is made durable, and only then are its files unlinked: after a crash of
 * the machine no row comes back without its files.
 */
import { opendir } from "node:fs/promises";
import { parseStorePath, type StorePath } from "../derivations/store-path.ts";
import { crashPoint } from "./crash-points.ts";
import { whenNotBusy } from "./database.ts";
import { isDiskFull, StoreError } from "./errors.ts";
import { leaseRoots, type Root } from "./gc-roots.ts";
import { reservedStoreNames } from "./layout.ts";
import { LockSet } from "./locks.ts";
import type { Store } from "./store.ts";

export interface GcOptions {
  /** Only say what would go. */
  readonly dryRun: boolean;
  /** Stop once more than this many bytes are freed; undefined: no limit. */
  readonly maxFreedBytes?: bigint;
  /** Only these, and only if they are dead: else GC_PATH_ALIVE. */
  readonly paths?: readonly StorePath[];
  readonly signal?: AbortSignal;
}

export interface GcResult {
  /** Paths that were valid, in the order they went. */
  readonly deleted: readonly StorePath[];
  /** Leftovers in the store directory that were no valid paths count too. In a dry run, by the sizes of the archives. */
  readonly freedBytes: bigint;
  /** How many valid paths are left. */
  readonly alive: number;
}

/** At most so many paths are without a row and still on disk; each round costs one durable commit. */
const pathsPerRound = 2000;
/** What is done at once on the main thread, in milliseconds. */
const stepMs = 2;

/**
 * Throws GC_PATH_ALIVE, STORE_PATH_NOT_VALID (for one of `paths`), ROOT_UNREADABLE, GC_RUNNING, STORE_DISK_FULL.
 */
export async function collectGarbage(store: Store, options: GcOptions): Promise<GcResult> {
  using _one = store.enterCollection(); // GC_RUNNING
  const heldSince = new Set<StorePath>();
  using _watch = store.leases.watch((path) => void heldSince.add(path)); // before the marking: no hold is missed
  store.paths.refresh();

  const scan = await store.roots.scan();
  const blind = scan.unknown[0];
  if (blind !== undefined) throw new StoreError("ROOT_UNREADABLE", blind);
  if (!options.dryRun) await store.roots.forgetGone(scan.gone);
  options.signal?.throwIfAborted();

  const dead = options.paths === undefined ? findDead(store, scan.roots) : checkDead(store, scan.roots, options.paths);
  crashPoint("gc:marked");
  if (options.dryRun) return estimate(store, dead, options);

  const collection = new Collection(store, options, heldSince);
  try {
    if (options.paths === undefined) await collection.removeLeftovers();
    await collection.deletePaths(dead);
  } finally {
    if (collection.usedBallast) await store.ballast.fill();
  }
  return { deleted: collection.deleted, freedBytes: collection.freedBytes, alive: store.graph.size };
}

class Collection {
  readonly deleted: StorePath[] = [];
  freedBytes = 0n;
  usedBallast = false;
  readonly #store: Store;
  readonly #options: GcOptions;
  readonly #heldSince: Set<StorePath>;
  readonly #spared = new Set<StorePath>();

  constructor(store: Store, options: GcOptions, heldSince: Set<StorePath>) {
    this.#store = store;
    this.#options = options;
    this.#heldSince = heldSince;
  }

  /** `dead` has referrers before what they refer to. */
  async deletePaths(dead: readonly StorePath[]): Promise<void> {
    const store = this.#store;
    for (let next = 0; next < dead.length && !this.#hasEnough(); ) {
      this.#options.signal?.throwIfAborted();
      const round: StorePath[] = [];
      using locks = new LockSet();
      let roundBytes = 0n;
      while (next < dead.length && round.length < pathsPerRound && !this.#hasEnough(roundBytes)) {
        const step = await this.#withBallast(() => this.#invalidateSome(dead, next, locks, roundBytes));
        next = step.next;
        roundBytes += step.bytes;
        round.push(...step.paths);
        await new Promise((resolve) => setImmediate(resolve)); // others' turn
      }
      if (round.length === 0) continue;
      crashPoint("gc:invalidated");
      await this.#withBallast(() => store.makeDurable());
      crashPoint("gc:durable");
      const { freedBytes } = await store.writer.remove(round);
      crashPoint("gc:removed");
      this.freedBytes += freedBytes;
      this.deleted.push(...round);
    }
  }

  /** What lies in the store directory, is not valid, and is in nobody's hands. */
  async removeLeftovers(): Promise<void> {
    const store = this.#store;
    const names: string[] = [];
    for await (const entry of await opendir(store.layout.realStoreDirectory))
      if (!reservedStoreNames.has(entry.name)) names.push(entry.name);
    for (let start = 0; start < names.length && !this.#hasEnough(); start += pathsPerRound) {
      this.#options.signal?.throwIfAborted();
      using locks = new LockSet();
      const round = names.slice(start, start + pathsPerRound).filter((name) => {
        const path = tryParseStorePath(name);
        if (path === undefined) return true; // no object at all, such as a .check copy
        if (store.graph.has(path) || store.leases.isHeld(path)) return false;
        const lock = store.locks.tryAcquire([path]);
        if (lock !== undefined) locks.add(lock);
        return lock !== undefined;
      });
      if (round.length === 0) continue;
      const { freedBytes } = await store.writer.remove(round);
      this.freedBytes += freedBytes;
    }
  }

  /** One transaction's worth, all on one call stack: nobody can begin to hold a path while it is looked at. */
  #invalidateSome(dead: readonly StorePath[], start: number, roundLocks: LockSet, roundBytes: bigint) {
    const store = this.#store;
    this.#spareHeld();
    using locks = new LockSet();
    const going = new Set<StorePath>();
    let bytes = 0n;
    let next = start;
    const deadlineMs = performance.now() + stepMs;
    const mayGoOn = () => next === start || (performance.now() < deadlineMs && !this.#hasEnough(roundBytes + bytes));
    store.paths.transaction(() => {
      for (; next < dead.length && mayGoOn(); ++next) {
        const path = dead[next];
        if (path === undefined || this.#spared.has(path) || !store.graph.has(path)) continue;
        if (store.graph.findOtherReferrer(path, going) !== undefined) continue; // spared, or registered since the marking
        const lock = store.locks.tryAcquire([path]);
        if (lock === undefined) continue;
        locks.add(lock);
        bytes += BigInt(store.paths.narSize(path));
        store.paths.deleteRow(path);
        going.add(path);
      }
    });
    for (const path of going) store.graph.remove(path);
    locks.moveTo(roundLocks); // until the files are gone: who adds such a path again waits for that
    return { paths: [...going], bytes, next };
  }

  /** What is held since the marking stays, with its closure. */
  #spareHeld(): void {
    if (this.#heldSince.size === 0) return;
    for (const path of this.#store.graph.closure(this.#heldSince, "forward")) this.#spared.add(path);
    this.#heldSince.clear();
  }

  #hasEnough(soonBytes = 0n): boolean {
    const { maxFreedBytes } = this.#options;
    return maxFreedBytes !== undefined && this.freedBytes + soonBytes > maxFreedBytes;
  }

  /** Gives up the ballast when the disk is full, and tries once more. */
  async #withBallast<Result>(work: () => Result | Promise<Result>): Promise<Result> {
    const attempt = async () => await await whenNotBusy(this.#store.paths.connection, work);
    try {
      return await attempt();
    } catch (error) {
      if (!isDiskFull(error) || !(await this.#store.ballast.drop())) throw error;
      this.usedBallast = true;
      return await attempt();
    }
  }
}

function findDead(store: Store, roots: readonly Root[]): StorePath[] {
  return store.graph.unreachable([...roots.map((root) => root.path), ...store.leases.paths()]);
}

/** The paths, referrers first. Throws GC_PATH_ALIVE with what keeps the first that is not dead. */
function checkDead(store: Store, onDisk: readonly Root[], paths: readonly StorePath[]): StorePath[] {
  const given = new Set(paths);
  const roots = [...onDisk, ...leaseRoots(store)];
  const rootPaths = new Set(roots.map((root) => root.path));
  for (const path of given) {
    if (!store.graph.has(path)) throw new StoreError("STORE_PATH_NOT_VALID", { path });
    const way = store.graph.findWay(rootPaths, path);
    const root = way && roots.find((candidate) => candidate.path === way[0]);
    if (way !== undefined && root !== undefined)
      throw new StoreError("GC_PATH_ALIVE", { path, keptBy: printRoot(root), through: way.slice(0, -1) });
  }
  for (const path of given) {
    const referrer = store.graph.referrers(path).find((candidate) => !given.has(candidate));
    if (referrer !== undefined)
      throw new StoreError("GC_PATH_ALIVE", { path, keptBy: `${referrer}, which is not to be deleted,`, through: [] });
  }
  return store.graph.topological(given).reverse();
}

function printRoot(root: Root): string {
  return root.kind === "lease" ? `a request that is running (${root.from})` : `the root ${root.from}`;
}

function estimate(store: Store, dead: readonly StorePath[], { maxFreedBytes }: GcOptions): GcResult {
  const deleted: StorePath[] = [];
  let freedBytes = 0n;
  for (const path of dead) {
    if (maxFreedBytes !== undefined && freedBytes > maxFreedBytes) break;
    freedBytes += BigInt(store.paths.narSize(path));
    deleted.push(path);
  }
  return { deleted, freedBytes, alive: store.graph.size - deleted.length };
}

function tryParseStorePath(name: string): StorePath | undefined {
  try {
    return parseStorePath(name);
  } catch {
    return undefined;
  }
}
