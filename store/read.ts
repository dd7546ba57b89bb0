/** What goes out of the store: archives, listings and single files, read off the disk as they are. */

import { CloisterError } from "../derivations/error.ts";
import { describeMissing, type NarListing } from "../derivations/nar/listing.ts";
import type { StorePath } from "../derivations/store-path.ts";
import { dumpTree, listTree, readFileBelow } from "../sandbox-native/read-tree.ts";
import { reasonOf, StoreError } from "./errors.ts";
import type { Store } from "./store.ts";

export interface ReadOptions {
  readonly signal?: AbortSignal;
}

/** The NAR of a valid path. Throws STORE_PATH_NOT_VALID, STORE_PATH_DAMAGED. */
export async function* readNar(store: Store, path: StorePath, options: ReadOptions = {}): AsyncGenerator<Uint8Array> {
  using _lease = await holdValid(store, path);
  try {
    yield* dumpTree(store.layout.realPath(path), options);
  } catch (error) {
    throw nameDamage(error, path, options);
  }
}

/** What a valid path holds. Throws STORE_PATH_NOT_VALID, STORE_PATH_DAMAGED. */
export async function readListing(store: Store, path: StorePath, options: ReadOptions = {}): Promise<NarListing> {
  using _lease = await holdValid(store, path);
  options.signal?.throwIfAborted();
  try {
    return await listTree(store.layout.realPath(path));
  } catch (error) {
    throw nameDamage(error, path, options);
  }
}

/**
 * The contents of one regular file of a valid path; `inside` is "" for a path that is a file itself, else such as
 * "bin/hello". No symlink is followed. Throws STORE_PATH_NOT_VALID, STORE_FILE_NOT_FOUND.
 */
export async function* readFile(
  store: Store,
  path: StorePath,
  inside: string,
  options: ReadOptions = {},
): AsyncGenerator<Uint8Array> {
  using _lease = await holdValid(store, path);
  try {
    yield* readFileBelow(store.layout.realPath(path), inside, options);
  } catch (error) {
    options.signal?.throwIfAborted();
    const reason = (await findReason(store, path, inside)) ?? reasonOf(error);
    throw new StoreError("STORE_FILE_NOT_FOUND", { path, inside, reason }, { cause: error });
  }
}

async function findReason(store: Store, path: StorePath, inside: string): Promise<string | undefined> {
  const listing = await listTree(store.layout.realPath(path)).catch(() => undefined);
  return listing && describeMissing(listing, inside);
}

async function holdValid(store: Store, path: StorePath): Promise<Disposable> {
  const lease = store.leases.hold("read", [path]);
  try {
    await store.whenBelieved([path]);
    if (!store.graph.has(path)) throw new StoreError("STORE_PATH_NOT_VALID", { path });
    return lease;
  } catch (error) {
    lease[Symbol.dispose]();
    throw error;
  }
}

/** A valid path can be read, unless it is damaged. */
function nameDamage(error: unknown, path: StorePath, { signal }: ReadOptions): unknown {
  if (signal?.aborted || (error instanceof CloisterError && error.code === "STORE_PATH_NOT_VALID")) return error;
  return new StoreError("STORE_PATH_DAMAGED", { path, reason: reasonOf(error) }, { cause: error });
}
