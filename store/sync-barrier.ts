/**
 * Makes what was registered survive the machine. Commits wait for nothing; a moment after the last one, in the
 * background, the store's file system is synced, then the databases, and then it is noted down up to which registration
 * that holds. The page cache outlives a process, so only a crash of the machine (another boot id) makes what no barrier
 * covers doubtful: see doubted-paths.ts.
 */
import { crashPoint } from "./crash-points.ts";
import type { Connection } from "./database.ts";

/** What the last barrier of an earlier owner, or of this one, left. */
export interface CoveredState {
  readonly bootId: string;
  /** Paths with a ValidPaths.id up to this one are on disk. */
  readonly coveredId: number;
}

export interface SyncBarrierOptions {
  /** cloister.sqlite */
  readonly connection: Connection;
  readonly bootId: string;
  /** How long after the last registration, in milliseconds; 0: only when it is asked for. */
  readonly intervalMs: number;
  /** The highest id that is registered now. */
  readonly lastId: () => number;
  /** Brings the store's files to disk. */
  readonly syncFiles: () => Promise<void>;
  /** Brings what is committed to disk. */
  readonly makeDurable: () => Promise<void>;
  readonly onFailed: (error: unknown) => void;
}

export class SyncBarrier implements AsyncDisposable {
  readonly #options: SyncBarrierOptions;
  readonly #save;
  #coveredId: number;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #isHeldBack = true;
  /** False while what is noted down is of an earlier boot. */
  #isNoted: boolean;
  #waitingSinceMs = 0;

  /** `covered`: what was noted down last. */
  constructor(options: SyncBarrierOptions, covered: CoveredState) {
    this.#options = options;
    this.#coveredId = covered.coveredId;
    this.#isNoted = covered.bootId === options.bootId;
    this.#save = options.connection.prepare<[string, number]>(
      "insert or replace into SyncBarrier (one, bootId, coveredId) values (1, ?, ?)",
    );
  }

  /** Paths with an id up to this one are on disk, whatever happens. */
  get coveredId(): number {
    return this.#coveredId;
  }

  /** From now on barriers may be noted down: all that an earlier boot left in doubt has been looked at. */
  release(): void {
    this.#isHeldBack = false;
    this.noteRegistered();
  }

  /** Something was registered: a barrier comes when it has been quiet for a while, or at the latest after ten times that. */
  noteRegistered(): void {
    if (this.#isHeldBack || this.#options.intervalMs === 0 || this.#isCovered(this.#options.lastId())) return;
    if (this.#timer !== undefined) {
      if (Date.now() - this.#waitingSinceMs > this.#options.intervalMs * 10) return;
      clearTimeout(this.#timer);
    } else {
      this.#waitingSinceMs = Date.now();
    }
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.flush().catch((error: unknown) => {
        this.#options.onFailed(error);
        this.noteRegistered(); // what could not be synced is tried again, and stays uncovered until it can
      });
    }, this.#options.intervalMs).unref();
  }

  /** Resolves when all that is registered now is on disk. Throws what the file system or the database said. */
  async flush(): Promise<void> {
    while (this.#running !== undefined) await this.#running.catch(() => {}); // told to whoever asked for that one
    this.#running = this.#run();
    try {
      await this.#running;
    } finally {
      this.#running = undefined;
    }
  }

  /** The last barrier, so that a store that was closed in order is covered as a whole. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    try {
      if (!this.#isCovered(this.#options.lastId())) await this.flush();
    } catch (error) {
      this.#options.onFailed(error);
    }
    this.#isHeldBack = true;
  }

  async #run(): Promise<void> {
    const id = this.#options.lastId(); // whose files were all moved into place before
    await this.#options.syncFiles();
    crashPoint("barrier:synced");
    await this.#options.makeDurable();
    crashPoint("barrier:checkpointed");
    if (this.#isHeldBack) return;
    if (!this.#isCovered(id)) this.#save.run(this.#options.bootId, id);
    this.#coveredId = id;
    this.#isNoted = true;
    crashPoint("barrier:recorded");
  }

  #isCovered(id: number): boolean {
    return this.#isNoted && id === this.#coveredId;
  }
}

/** What was noted down last; for a store that was never served by us, `initial` is noted down, durably, and returned. */
export function findCoveredState(connection: Connection, initial: CoveredState): CoveredState {
  const noted = connection.prepare<[], CoveredState>("select bootId, coveredId from SyncBarrier").get();
  if (noted !== undefined) return noted;
  connection.pragma("synchronous = FULL");
  connection
    .prepare<[string, number]>("insert into SyncBarrier (one, bootId, coveredId) values (1, ?, ?)")
    .run(initial.bootId, initial.coveredId);
  connection.pragma("synchronous = NORMAL");
  return initial;
}
