/**
 * How the outputs of a build become valid: moved into place, registered in one transaction, and the build's record with
 * them. Paths and records lie in two databases, which have no transaction in common: the record says "sealing" before
 * (or "building", where the launcher has moved the outputs already) and "done" after, and one that still says so at the
 * next start is settled by whether the outputs that it names are valid.
 */
import type { BuildRecord, BuiltOutput } from "../derivations/build-record.ts";
import type { PathInfo } from "../derivations/path-info.ts";
import { parseStorePath, type StorePath } from "../derivations/store-path.ts";
import { describeOutput } from "./build-records.ts";
import { crashPoint } from "./crash-points.ts";
import { nameDiskFull, StoreError } from "./errors.ts";
import type { Store } from "./store.ts";

export interface BuiltOutputs {
  /** As it is to be when it is done; `outputs` and, unless it is there, `stoppedAtMs` are filled in. */
  readonly record: BuildRecord;
  readonly outputs: readonly StagedOutput[];
  /** Views of the launcher's that may be used again. */
  readonly releaseViews: readonly string[];
  /**
   * The outputs lie in the store already, moved there by the launcher; none is valid, the caller holds their locks, and a
   * record that says "building" names them.
   */
  readonly inPlace?: boolean;
}

export interface StagedOutput {
  readonly info: Omit<PathInfo, "registeredAtSeconds">;
  readonly stagingName: string;
  readonly outputId: string;
  readonly drvPath: StorePath;
}

/**
 * Makes all outputs valid at once, or none. One that is valid already is left as it is and its new copy discarded. The
 * caller holds what the outputs refer to. When it throws, nothing of it is left in staging or store, and the record is
 * the caller's to end. Throws STORE_REFERENCE_NOT_VALID, STORE_REFERENCE_CYCLE, STORE_DISK_FULL, STORE_DATABASE_UNUSABLE.
 */
export async function commitOutputs(store: Store, built: BuiltOutputs): Promise<void> {
  const { outputs, releaseViews } = built;
  const paths = outputs.map((output) => output.info.path);
  using _lease = store.leases.hold(`build ${built.record.id}`, paths); // first: the collector may be running right now
  let inStaging = built.inPlace ? [] : outputs.map((output) => output.stagingName);
  let inStore: StorePath[] = built.inPlace ? paths : [];
  try {
    if (store.doubtedPaths > 0) await store.whenBelieved(paths);
    using _locks = built.inPlace ? undefined : await store.locks.acquire(paths);
    const fresh = outputs.filter((output) => !store.graph.has(output.info.path));
    const registeredAtSeconds = store.nowSeconds();
    const infos: PathInfo[] = fresh.map((output) => ({ ...output.info, registeredAtSeconds }));
    store.registrar.check(infos); // before anything is written

    const toMove = built.inPlace ? [] : fresh;
    const moves = toMove.map((output) => ({ from: output.stagingName, to: output.info.path }));
    const stale = outputs.filter((output) => !fresh.includes(output)).map((output) => output.stagingName);
    inStore = fresh.map((output) => output.info.path);
    const moving = moves.length > 0 ? store.writer.move(moves, stale.length === 0 ? releaseViews : []) : undefined;
    if (!built.inPlace) {
      await writeSealing(store, finishedRecord(store, built), moving);
      await moving;
    } else {
      crashPoint("commit:sealing");
    }
    inStaging = stale;
    crashPoint("commit:moved");

    const derivationOutputs = outputs.map(({ drvPath, outputId, info }) => ({ drvPath, outputId, path: info.path }));
    await store.registrar.register({ infos, derivationOutputs });
    inStore = [];
    crashPoint("commit:registered");
    const toRelease = stale.length > 0 || moves.length === 0 ? releaseViews : [];
    const left = finish(store, finishedRecord(store, built), stale, toRelease);
    if (left !== undefined) await left;
  } catch (error) {
    if (inStore.length > 0) await store.writer.remove(inStore);
    if (inStaging.length > 0 || releaseViews.length > 0) await store.writer.discard(inStaging, releaseViews);
    throw nameDiskFull(error, store.layout.realStoreDirectory, `the outputs of ${built.record.name}`);
  }
}

/**
 * While the launcher moves: the record has to be there before the paths are registered, not before they are moved, for a
 * path without a row is garbage that the next collection takes.
 */
async function writeSealing(store: Store, record: BuildRecord, moving: Promise<void> | undefined): Promise<void> {
  try {
    store.records.writeSealing(record);
    crashPoint("commit:sealing");
  } catch (error) {
    await moving?.catch(() => {}); // this error is the one to tell; what was moved is taken away again
    throw error;
  }
}

/** The outputs are valid: what goes wrong from here on is made known, and undoes nothing. What it returns never rejects. */
function finish(
  store: Store,
  record: BuildRecord,
  stale: readonly string[],
  releaseViews: readonly string[],
): Promise<void> | undefined {
  const onFailed = (error: unknown) => store.notify({ kind: "commit-unfinished", recordId: record.id, error });
  store.records.finish(record, onFailed);
  crashPoint("commit:done");
  if (stale.length === 0 && releaseViews.length === 0) return undefined;
  return store.writer.discard(stale, releaseViews).catch(onFailed);
}

/**
 * Keeps a tree from staging in the store directory under a name that is not valid and is never registered, such as
 * the second output of a check as PATH.check, to be looked at; the next collection removes it.
 */
export async function moveAside(store: Store, stagingName: string, name: string): Promise<void> {
  const path = parseStorePath(name);
  using _lock = await store.locks.acquire([path]);
  if (store.graph.has(path)) throw new StoreError("STORE_PATH_MISMATCH", { path, expected: "one that is not valid" });
  await store.writer.move([{ from: stagingName, to: path }]);
}

function finishedRecord(store: Store, { record, outputs }: BuiltOutputs): BuildRecord {
  const described: Record<string, BuiltOutput> = {};
  for (const { outputId, info } of outputs) described[outputId] = describeOutput(info);
  return { ...record, status: "done", stoppedAtMs: record.stoppedAtMs ?? store.nowMs(), outputs: described };
}
