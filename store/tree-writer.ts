/**
 * All that writes below the store directory. The store is given one when it is opened: the launcher, which alone holds
 * the identities that may, or in tests a small second implementation. Names are base names, never paths.
 */

export interface TreeWriter {
  /** Of the process that writes, if it is one of its own: kept in the lock file, so that a next owner can end it. */
  readonly pid?: number;

  /**
   * Reads one NAR to its end, writes what it holds into staging in canonical form, and hashes it, in one pass. Leaves
   * nothing behind when it fails. Throws the NAR_ codes for a bad archive, and what the file system says, with its errno.
   */
  restore(archive: AsyncIterable<Uint8Array>, options?: { readonly signal?: AbortSignal }): Promise<RestoredTree>;

  /** Writes a file (mode 0444) and puts it into the store under this name; replaces what lies there. */
  writeText(name: string, contents: Uint8Array): Promise<{ readonly narHash: Uint8Array; readonly narSize: bigint }>;

  /** Moves from staging into the store. What lies under a name already goes to the trash first. */
  move(moves: readonly StagedMove[], releaseViews?: readonly string[]): Promise<void>;

  /** Removes from staging. */
  discard(stagingNames: readonly string[], releaseViews?: readonly string[]): Promise<void>;

  /** Removes from the store; answered when all is unlinked. A name that is not there is no error. */
  remove(names: readonly string[]): Promise<RemovedTrees>;

  /** Called when the store is closed; all promises are settled then. */
  [Symbol.asyncDispose]?(): PromiseLike<void>;
}

export interface RestoredTree {
  readonly stagingName: string;
  /** The SHA-256 of the NAR. */
  readonly narHash: Uint8Array;
  readonly narSize: bigint;
}

export interface StagedMove {
  /** A name in staging. */
  readonly from: string;
  /** A name in the store directory. */
  readonly to: string;
}

export interface RemovedTrees {
  /** What the file system got back: files whose last link went. */
  readonly freedBytes: bigint;
  readonly missing: readonly string[];
}
