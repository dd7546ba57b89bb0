/** One open store: its directories, its databases, its resident index, and what watches over them. */
import { join } from "node:path";
import type { PathInfo } from "../derivations/path-info.ts";
import type { StoreDirectory, StorePath } from "../derivations/store-path.ts";
import { bootId, openDirectory, syncFileSystem } from "../sandbox-native/posix.ts";
import { hashTree } from "../sandbox-native/read-tree.ts";
import { Ballast } from "./ballast.ts";
import { BuildLogs } from "./build-logs.ts";
import { BuildRecords, describeOutput } from "./build-records.ts";
import { checkpoint } from "./checkpoint.ts";
import { Checkpoints } from "./checkpoints.ts";
import { crashPoint } from "./crash-points.ts";
import { type Databases, openDatabases, ownFile, pathsFile, whenNotBusy } from "./database.ts";
import { DerivationFiles } from "./derivation-files.ts";
import { makeDirectories } from "./directories.ts";
import { DoubtedPaths } from "./doubted-paths.ts";
import { isDiskFull, StoreError } from "./errors.ts";
import { GcRoots } from "./gc-roots.ts";
import { KeptDirectories } from "./kept-directories.ts";
import { KeptRequests } from "./kept-requests.ts";
import type { StoreLayout } from "./layout.ts";
import { Leases } from "./leases.ts";
import { lockStore, PathLocks } from "./locks.ts";
import { ReferenceGraph } from "./reference-graph.ts";
import { Registrar } from "./registrar.ts";
import { StoreSize } from "./store-size.ts";
import { findCoveredState, SyncBarrier } from "./sync-barrier.ts";
import type { TreeWriter } from "./tree-writer.ts";
import { ValidPaths } from "./valid-paths.ts";

export interface StoreOptions {
  readonly storeDirectory: StoreDirectory;
  /** Physical: "/" for the system's store. */
  readonly root: string;
  /** Logical, below the root; by default `var/cloister` beside the store directory. */
  readonly stateDirectory?: string;
  /** Called once the store is ours; it sweeps staging, trash and builds before it answers. The store closes it. */
  readonly startWriter: (layout: StoreLayout) => Promise<TreeWriter>;
  /** How long after the last registration files and databases are synced, in milliseconds; 0: only when closed. */
  readonly syncIntervalMs?: number;
  /** Milliseconds since 1970. */
  readonly clock?: () => number;
  readonly onNotice?: (notice: StoreNotice) => void;
  /** Which boot this is; by default what the kernel says. */
  readonly bootId?: string;
}

/** What goes on in the background and someone should know. */
export type StoreNotice =
  /** Found after a crash of the machine; with all that refers to it, it is not valid any more. */
  | {
      readonly kind: "path-damaged";
      readonly path: StorePath;
      readonly reason: string;
      readonly dropped: readonly StorePath[];
    }
  /** What was registered is not on disk yet; it is tried again. */
  | { readonly kind: "sync-failed"; readonly error: unknown }
  | { readonly kind: "log-failed"; readonly error: unknown }
  /** The outputs of a build are valid, but its record does not say so before the next start, or staging is not empty. */
  | { readonly kind: "commit-unfinished"; readonly recordId: string; readonly error: unknown };

/**
 * Opens the store, and makes it where there is none. Throws STORE_IN_USE, STORE_NOT_WRITABLE, STORE_NO_ROOM_TO_OPEN,
 * STORE_SCHEMA_UNKNOWN, STORE_DATABASE_UNUSABLE, and what `startWriter` throws.
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  const layout = makeDirectories(options);
  try {
    return await openOnce(options, layout);
  } catch (error) {
    // What is kept for the collector lets the store be opened as well: else a full disk could not be collected.
    if (!isDiskFull(error)) throw error;
    if (!(await ballastOf(layout).drop())) throw noRoom(error, layout);
  }
  try {
    return await openOnce(options, layout);
  } catch (error) {
    throw isDiskFull(error) ? noRoom(error, layout) : error;
  }
}

function noRoom(cause: unknown, { stateDirectory }: StoreLayout) {
  return new StoreError("STORE_NO_ROOM_TO_OPEN", { stateDirectory }, { cause });
}

function ballastOf(layout: StoreLayout): Ballast {
  return new Ballast(join(layout.databaseDirectory, "reserved"));
}

async function openOnce(options: StoreOptions, layout: StoreLayout): Promise<Store> {
  const closers: (() => unknown)[] = [];
  try {
    const lock = await lockStore(layout.lockFile, layout.stateDirectory);
    closers.push(() => lock[Symbol.dispose]());
    crashPoint("open:locked");
    const databases = openDatabases(layout.databaseDirectory);
    closers.push(() => databases[Symbol.dispose]());
    const held = openDirectory(layout.realStoreDirectory); // before anything is written: else errors of writing are lost
    closers.push(() => held[Symbol.dispose]());
    const writer = await options.startWriter(layout);
    closers.push(() => writer[Symbol.asyncDispose]?.());
    if (writer.pid !== undefined) lock.nameLauncher(writer.pid);
    crashPoint("open:writer-started");
    const store = new Store(options, { layout, databases, writer, closers, syncFiles: () => syncFileSystem(held.fd) });
    await store.ballast.fill();
    return store;
  } catch (error) {
    await closeAll(closers);
    throw error;
  }
}

interface StoreParts {
  readonly layout: StoreLayout;
  readonly databases: Databases;
  readonly writer: TreeWriter;
  readonly syncFiles: () => Promise<void>;
  /** What to close, in the opposite order. */
  readonly closers: (() => unknown)[];
}

export class Store implements AsyncDisposable {
  readonly directory: StoreDirectory;
  readonly layout: StoreLayout;
  readonly writer: TreeWriter;
  /** Valid paths and who refers to whom. */
  readonly graph = new ReferenceGraph();
  readonly leases = new Leases();
  readonly locks = new PathLocks();
  readonly paths: ValidPaths;
  readonly registrar: Registrar;
  readonly derivations: DerivationFiles;
  readonly records: BuildRecords;
  readonly requests: KeptRequests;
  readonly logs: BuildLogs;
  readonly keptDirectories: KeptDirectories;
  readonly roots: GcRoots;
  readonly ballast: Ballast;
  /** What the valid paths hold. */
  readonly size: StoreSize;
  readonly barrier: SyncBarrier;
  readonly #clock: () => number;
  /** Tells whoever opened the store. */
  readonly notify: (notice: StoreNotice) => void;
  readonly #closers: (() => unknown)[];
  readonly #databases: Databases;
  readonly #checkpoints: Checkpoints;
  readonly #doubted: DoubtedPaths;
  #isCollecting = false;
  #closing: Promise<void> | undefined;

  /** Use `openStore`. */
  constructor(options: StoreOptions, { layout, databases, writer, syncFiles, closers }: StoreParts) {
    this.directory = options.storeDirectory;
    this.layout = layout;
    this.writer = writer;
    this.#clock = options.clock ?? Date.now;
    this.notify = options.onNotice ?? (() => {});
    this.#closers = closers;
    this.paths = new ValidPaths(databases.paths, this.directory, this.graph);
    this.registrar = new Registrar(databases.paths, this.paths, this.graph, () => this.barrier.noteRegistered());
    this.derivations = new DerivationFiles(this.directory, this.graph, layout.realPath);
    this.records = new BuildRecords(databases.own, this.directory);
    this.requests = new KeptRequests(databases.own);
    this.keptDirectories = new KeptDirectories(layout.keptDirectory, { nowMs: () => this.nowMs() });
    this.logs = new BuildLogs(layout.logDirectory, { onFailed: (error) => this.notify({ kind: "log-failed", error }) });
    this.roots = new GcRoots(layout, databases.own);
    this.ballast = ballastOf(layout);
    this.size = new StoreSize(databases.paths, () => this.graph.size);
    this.#databases = databases;
    this.#checkpoints = new Checkpoints([pathsFile, ownFile].map((file) => join(layout.databaseDirectory, file)));
    this.#closers.push(() => this.#checkpoints[Symbol.asyncDispose]());

    const thisBoot = options.bootId ?? bootId();
    const covered = findCoveredState(databases.own, { bootId: thisBoot, coveredId: this.paths.lastId });
    this.barrier = new SyncBarrier(
      {
        connection: databases.own,
        bootId: thisBoot,
        intervalMs: options.syncIntervalMs ?? 1000,
        lastId: () => this.paths.lastId,
        syncFiles,
        makeDurable: () => this.makeDurable(),
        onFailed: (error) => this.notify({ kind: "sync-failed", error }),
      },
      covered,
    );
    this.#doubted = new DoubtedPaths(covered.bootId === thisBoot ? [] : this.paths.registeredAfter(covered.coveredId), {
      findPathInfo: (path) => this.findPathInfo(path),
      hold: (path) => this.leases.hold("doubted", [path]),
      hashTree: (path) => hashTree(layout.realPath(path)),
      drop: (path, reason) => this.#drop(path, reason),
    });
    this.#doubted.done.then(
      () => this.#doubted.size === 0 && this.barrier.release(),
      (error: unknown) => this.notify({ kind: "sync-failed", error }),
    );
    this.#closers.push(() => this.records.flush());
    const known = {
      describe: (path: StorePath) => {
        const info = this.findPathInfo(path);
        return info && describeOutput(info);
      },
      findLogFile: (recordId: string) => this.logs.findFile(recordId),
    };
    const interrupted = new Set<string>();
    for (const { id, status } of this.records.reconcile(known, this.nowMs()))
      if (status === "failed") interrupted.add(id);
    this.logs.adopt((recordId) => interrupted.has(recordId));
    this.roots.sweep();
  }

  nowMs(): number {
    return this.#clock();
  }

  nowSeconds(): number {
    return Math.floor(this.#clock() / 1000);
  }

  findPathInfo(path: StorePath): PathInfo | undefined {
    return this.graph.has(path) ? this.paths.find(path) : undefined;
  }

  /** The valid path with these 32 digits. */
  findByHashPart(hashPart: string): StorePath | undefined {
    return this.graph.findByHashPart(hashPart);
  }

  validDerivers(path: StorePath): StorePath[] {
    return this.paths.validDerivers(path);
  }

  /**
   * The outputs of a valid derivation by id; null where the path is not known yet (floating, not built).
   * Throws STORE_PATH_NOT_VALID, STORE_PATH_DAMAGED.
   */
  derivationOutputs(drvPath: StorePath): Map<string, StorePath | null> {
    const outputs = new Map<string, StorePath | null>();
    for (const id of this.derivations.get(drvPath).outputs.keys()) outputs.set(id, null);
    for (const [id, path] of this.paths.derivationOutputs(drvPath)) outputs.set(id, path);
    return outputs;
  }

  /** The sum of the archives of these paths, in bytes. */
  narBytes(paths: Iterable<StorePath>): bigint {
    let sum = 0;
    for (const path of paths) sum += this.paths.narSize(path);
    return BigInt(sum);
  }

  /**
   * Waits until none of these paths is in doubt. After a crash of the machine, what was registered last is hashed again
   * before it is believed; then it is valid as before, or not any more. Wait first, then look in the graph.
   */
  async whenBelieved(paths: Iterable<StorePath>): Promise<void> {
    if (this.#doubted.size === 0) return;
    for (const path of paths) await this.#doubted.whenBelieved(path);
  }

  /** How many paths are in doubt. */
  get doubtedPaths(): number {
    return this.#doubted.size;
  }

  /** Resolves when all that was committed before the call is on disk. Throws STORE_DATABASE_UNUSABLE, STORE_DISK_FULL. */
  async makeDurable(): Promise<void> {
    if (this.#closing === undefined) await this.#checkpoints.makeDurable();
    else checkpoint([this.#databases.paths, this.#databases.own]); // nobody is kept waiting any more
  }

  /** One collection at a time. Throws GC_RUNNING, STORE_CLOSED. */
  enterCollection(): Disposable {
    if (this.#closing !== undefined) throw new StoreError("STORE_CLOSED", { doing: "collecting" });
    if (this.#isCollecting) throw new StoreError("GC_RUNNING", undefined);
    this.#isCollecting = true;
    return {
      [Symbol.dispose]: () => {
        this.#isCollecting = false;
      },
    };
  }

  /** Syncs, closes and gives up the lock. The caller has ended what uses the store. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#doubted.stop();
    await this.registrar[Symbol.asyncDispose]();
    await this.barrier[Symbol.asyncDispose]();
    await this.logs[Symbol.asyncDispose]();
    await closeAll(this.#closers);
  }

  async #drop(path: StorePath, reason: string): Promise<void> {
    const dropped = this.graph.closure([path], "backward").reverse(); // referrers first
    using _locks = await this.locks.acquire(dropped);
    const stillThere = dropped.filter((candidate) => this.graph.has(candidate));
    if (stillThere.length === 0) return; // it went with another that it referred to
    await whenNotBusy(this.paths.connection, () => this.paths.invalidate(stillThere));
    await this.makeDurable();
    await this.writer.remove(stillThere);
    this.notify({ kind: "path-damaged", path, reason, dropped: stillThere });
  }
}

/** All of them, whatever one throws; the first error is thrown then. */
async function closeAll(closers: (() => unknown)[]): Promise<void> {
  const errors: unknown[] = [];
  for (const close of closers.splice(0).reverse()) {
    try {
      await close();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw errors[0];
}
