/**
 * What comes into the store from outside: archives and texts. Nothing half-written is ever valid: an object is restored
 * into staging, checked, moved into place, and registered last. Each function may be killed at any line
 * (test/crash/store.test.ts); what it leaves then is swept at the next start or collected as garbage.
 */
import {
  type ContentAddress,
  makeFixedOutputPath,
  makeSourcePath,
  makeTextPath,
  type References,
} from "../derivations/content-address.ts";
import { hashesEqual, makeSha256, printHash, type Sha256, sha256 } from "../derivations/hash.ts";
import type { PathInfo } from "../derivations/path-info.ts";
import { isDerivationPath, nameOf, type StorePath } from "../derivations/store-path.ts";
import { ContentCheck } from "./content-check.ts";
import { crashPoint } from "./crash-points.ts";
import { nameDiskFull, StoreError } from "./errors.ts";
import type { Store } from "./store.ts";
import type { DerivationOutputRow } from "./valid-paths.ts";

export interface AddOptions {
  /** Who holds the path from now on, until it releases its leases; without, the path is held for this call only. */
  readonly leaseOwner?: string;
  readonly signal?: AbortSignal;
}

/** How an object is addressed when the sender does not know its path yet. */
export type AddMethod =
  | { readonly kind: "source"; readonly references: readonly StorePath[] }
  | { readonly kind: "fixed"; readonly address: ContentAddress; readonly references: readonly StorePath[] };

/** What a sender knows of an object; what it does not know is found out. */
export type ArchiveInfo = Omit<PathInfo, "registeredAtSeconds" | "narHash" | "narSize"> & {
  readonly narHash?: Sha256;
  readonly narSize?: bigint;
};

/**
 * Adds the object that `archive` holds and registers it as `info` says. A path that is valid already is left as it is;
 * the archive is read to its end all the same, because more may follow it on the same stream. With `mustProve`, as for
 * a sender who is not trusted, the path has to follow from contents and content address; signatures and deriver, which
 * only the sender vouches for, are left out. Throws the NAR_ codes, STORE_NAR_HASH_MISMATCH, STORE_NAR_SIZE_MISMATCH,
 * STORE_PATH_MISMATCH, STORE_CONTENT_HASH_MISMATCH, STORE_CONTENT_NOT_FLAT, STORE_PATH_UNPROVEN,
 * STORE_REFERENCE_NOT_VALID, STORE_DISK_FULL.
 */
export async function addToStore(
  store: Store,
  info: ArchiveInfo,
  archive: AsyncIterable<Uint8Array>,
  options: AddOptions & { readonly mustProve?: boolean } = {},
): Promise<PathInfo> {
  const { path } = info;
  return await holding(store, path, info.references, options, async () => {
    const valid = store.findPathInfo(path);
    if (valid !== undefined) {
      await drain(archive, options.signal);
      return valid;
    }
    const check = checkAddress(store, info, options.mustProve === true);
    await using staged = await restore(store, check?.watch(archive) ?? archive, options.signal);
    const { narHash, narSize } = staged;
    if (info.narHash !== undefined && !hashesEqual(narHash, info.narHash))
      throw new StoreError("STORE_NAR_HASH_MISMATCH", {
        path,
        promised: printHash(info.narHash, "sri"),
        received: printHash(narHash, "sri"),
      });
    if (info.narSize !== undefined && narSize !== info.narSize)
      throw new StoreError("STORE_NAR_SIZE_MISMATCH", { path, promised: info.narSize, received: narSize });
    check?.finish(nameOf(path), narHash);
    crashPoint("add:checked");

    const { deriver: _deriver, ...proven } = { ...info, signatures: [], ultimate: false };
    const known = options.mustProve === true ? proven : info;
    return await placeAndRegister(
      store,
      { ...known, narHash, narSize, registeredAtSeconds: store.nowSeconds() },
      staged,
    );
  });
}

/**
 * Adds the object that `archive` holds under the path that follows from its contents.
 * Throws the NAR_ codes, STORE_PATH_NAME_INVALID, CONTENT_ADDRESS_REFERENCES, STORE_CONTENT_HASH_MISMATCH,
 * STORE_CONTENT_NOT_FLAT, STORE_REFERENCE_NOT_VALID, STORE_DISK_FULL.
 */
export async function addSource(
  store: Store,
  name: string,
  method: AddMethod,
  archive: AsyncIterable<Uint8Array>,
  options: AddOptions = {},
): Promise<PathInfo> {
  const references: References = { others: method.references, self: false };
  const known = method.kind === "fixed" ? method.address : undefined;
  const check = known && new ContentCheck(known);
  if (known !== undefined)
    makeFixedOutputPath(store.directory, name, known, references); // refuses before the work
  else makeSourcePath(store.directory, name, emptyHash, references);

  await using staged = await restore(store, check?.watch(archive) ?? archive, options.signal);
  const { narHash, narSize } = staged;
  check?.finish(name, narHash);
  crashPoint("add:checked");
  const contentAddress: ContentAddress = known ?? { method: "recursive", hash: narHash };
  const path = makeFixedOutputPath(store.directory, name, contentAddress, references);

  return await holding(store, path, method.references, options, async () => {
    const valid = store.findPathInfo(path);
    if (valid !== undefined) return valid;
    const info: PathInfo = {
      path,
      narHash,
      narSize,
      references: new Set(method.references),
      registeredAtSeconds: store.nowSeconds(),
      ultimate: false,
      signatures: [],
      contentAddress,
    };
    return await placeAndRegister(store, info, staged);
  });
}

/**
 * Adds a file with this text. A name that ends in ".drv" is parsed, and refused unless its references and its outputs
 * are what they should be. Throws STORE_PATH_NAME_INVALID, STORE_REFERENCE_NOT_VALID, STORE_DERIVATION_REFERENCES,
 * DERIVATION_OUTPUT_MISMATCH, ATERM_INVALID and what else parsing throws, STORE_DISK_FULL.
 */
export async function addText(
  store: Store,
  name: string,
  contents: Uint8Array,
  references: readonly StorePath[],
  options: AddOptions = {},
): Promise<StorePath> {
  const path = makeTextPath(store.directory, name, contents, references);
  return await holding(store, path, references, options, async () => {
    if (store.graph.has(path)) return path;
    const derivationOutputs = isDerivationPath(path) ? store.derivations.check(path, contents, references) : [];

    const written = await orDiskFull(store, path, () => store.writer.writeText(path, contents));
    crashPoint("text:written");
    const info: PathInfo = {
      path,
      narHash: makeSha256(written.narHash),
      narSize: written.narSize,
      references: new Set(references),
      registeredAtSeconds: store.nowSeconds(),
      ultimate: false,
      signatures: [],
      contentAddress: { method: "text", hash: sha256(contents) },
    };
    await registerOrRemove(store, info, derivationOutputs);
    return path;
  });
}

/**
 * Runs `work` while the path is held and locked and the references are held and valid. Hold first, then look: the
 * collector may be running right now. What is in doubt since a crash of the machine is waited for before the lock.
 */
async function holding<Result>(
  store: Store,
  path: StorePath,
  references: Iterable<StorePath>,
  options: AddOptions,
  work: () => Promise<Result>,
): Promise<Result> {
  const owner = options.leaseOwner ?? `add ${path}`;
  const lease = store.leases.hold(owner, [path]);
  using _references = store.leases.hold(`add ${path}`, references);
  let isAdded = false;
  try {
    await store.whenBelieved([path, ...references]);
    using _lock = await store.locks.acquire([path]);
    options.signal?.throwIfAborted();
    for (const reference of references)
      if (reference !== path && !store.graph.has(reference))
        throw new StoreError("STORE_REFERENCE_NOT_VALID", { path, reference });
    const result = await work();
    isAdded = true;
    return result;
  } finally {
    if (!isAdded || options.leaseOwner === undefined) lease[Symbol.dispose]();
  }
}

interface StagedObject extends AsyncDisposable {
  readonly stagingName: string;
  readonly narHash: Sha256;
  readonly narSize: bigint;
  /** After this it is not removed any more when its scope ends. */
  keep(): void;
}

async function restore(
  store: Store,
  archive: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): Promise<StagedObject> {
  const restored = await orDiskFull(store, "an archive", () => store.writer.restore(archive, signal ? { signal } : {}));
  crashPoint("add:restored");
  let isKept = false;
  return {
    stagingName: restored.stagingName,
    narHash: makeSha256(restored.narHash),
    narSize: restored.narSize,
    keep: () => {
      isKept = true;
    },
    [Symbol.asyncDispose]: async () => {
      if (!isKept) await store.writer.discard([restored.stagingName]);
    },
  };
}

async function placeAndRegister(store: Store, info: PathInfo, staged: StagedObject): Promise<PathInfo> {
  await orDiskFull(store, info.path, () => store.writer.move([{ from: staged.stagingName, to: info.path }]));
  staged.keep();
  crashPoint("add:moved");
  await registerOrRemove(store, info, []);
  return info;
}

/** A path without a row is garbage, a row without a path is corruption: so the row comes last. */
async function registerOrRemove(
  store: Store,
  info: PathInfo,
  derivationOutputs: readonly DerivationOutputRow[],
): Promise<void> {
  try {
    await store.registrar.register({ infos: [info], derivationOutputs });
  } catch (error) {
    await store.writer.remove([info.path]);
    throw error;
  }
  crashPoint("add:registered");
}

/** Throws STORE_PATH_MISMATCH, STORE_PATH_UNPROVEN. Undefined where there is nothing in the contents to check. */
function checkAddress(store: Store, info: ArchiveInfo, mustProve: boolean): ContentCheck | undefined {
  const { path, contentAddress, references } = info;
  const self = references.has(path);
  if (contentAddress === undefined || self) {
    if (mustProve) throw new StoreError("STORE_PATH_UNPROVEN", { path });
    if (contentAddress === undefined) return undefined;
  }
  const others = [...references].filter((reference) => reference !== path);
  const expected = makeFixedOutputPath(store.directory, nameOf(path), contentAddress, { others, self });
  if (expected !== path) throw new StoreError("STORE_PATH_MISMATCH", { path, expected });
  return self ? undefined : new ContentCheck(contentAddress); // with a reference to itself, the hash is not the contents'
}

async function orDiskFull<Result>(store: Store, what: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw nameDiskFull(error, store.layout.realStoreDirectory, what);
  }
}

async function drain(archive: AsyncIterable<Uint8Array>, signal: AbortSignal | undefined): Promise<void> {
  for await (const _ of archive) signal?.throwIfAborted();
}

const emptyHash = sha256("");
