/** The service as one caller has it: who asks is known, and what it adds is held under its lease. */
import type { BuildQuery, BuildRecord } from "../../derivations/build-record.ts";
import type { BuildResult } from "../../derivations/build-result.ts";
import type { DerivedPath } from "../../derivations/derived-path.ts";
import type { NarListing } from "../../derivations/nar/listing.ts";
import type { PathInfo } from "../../derivations/path-info.ts";
import { printStorePath, type StorePath } from "../../derivations/store-path.ts";
import type { JailUsage } from "../../sandbox-native/launcher.ts";
import { addSource, addText, addToStore } from "../../store/add.ts";
import { StoreError } from "../../store/errors.ts";
import { collectGarbage } from "../../store/gc.ts";
import { addIndirectRoot, addPermanentRoot, listRoots } from "../../store/gc-roots.ts";
import { readFile, readListing, readNar } from "../../store/read.ts";
import { measureStore } from "../../store/sizes.ts";
import type { Store } from "../../store/store.ts";
import type { Activity } from "../api/activity.ts";
import { thisProgram } from "../api/build-id.ts";
import type { BuildEvent } from "../api/events.ts";
import type { CancelResult } from "../api/requests.ts";
import type {
  AddMethod,
  AttachOptions,
  BuildOptions,
  BuildSettingsAsked,
  ByteStream,
  Caller,
  Cancellable,
  GcOptions,
  GcResult,
  PathDetails,
  Root,
  Service,
  Status,
  StatusOptions,
} from "../api/service.ts";
import type { ReloadResult, SettingValue } from "../api/setting-values.ts";
import type { Scheduler } from "../scheduler/scheduler.ts";
import { ServerError } from "./errors.ts";
import type { Logger } from "./logger.ts";
import type { Metrics } from "./metrics/metrics.ts";
import type { PathInfoCache } from "./path-info-cache.ts";
import type { RequestRegistry } from "./request-registry.ts";
import { assertPriority } from "./trust.ts";

export interface RunningBuild {
  readonly recordId: string;
  readonly drvPath: StorePath;
  /** Resolved when there is a log, or will never be one. */
  readonly hasSpoken: PromiseWithResolvers<void>;
}

/** What all callers share. */
export interface ServiceCore {
  readonly store: Store;
  readonly scheduler: Scheduler;
  readonly requests: RequestRegistry;
  readonly pathInfos: PathInfoCache;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly system: string;
  readonly strength: Status["strength"];
  readonly startedAtMs: number;
  readonly maxJobs: number;
  readonly connections: number;
  /** What running builds have taken so far, by the ids of their records. */
  readUsage(): Promise<ReadonlyMap<string, JailUsage>>;
  findRunningBuild(recordId: string): RunningBuild | undefined;
  noteEvent(event: BuildEvent): void;
  querySettings(): readonly SettingValue[];
  reload(): ReloadResult;
  shutdown(drainMs: number): void;
}

/** What one caller sees. Options may be an object whose signal is made when it is read: none is read without need. */
export class CallerService implements Service {
  readonly #core: ServiceCore;
  readonly #store: Store;
  readonly #caller: Caller;
  readonly #owner: string;

  constructor(core: ServiceCore, caller: Caller, leaseOwner: string) {
    this.#core = core;
    this.#store = core.store;
    this.#caller = caller;
    this.#owner = leaseOwner;
  }

  async status(options?: StatusOptions): Promise<Status> {
    const { scheduler, startedAtMs, strength, system, maxJobs, connections } = this.#core;
    const { version, buildId } = thisProgram();
    const { layout, graph } = this.#store;
    return {
      ...{ version, buildId, pid: process.pid, startedAtMs, strength, system, maxJobs, connections },
      storeDirectory: this.#store.directory,
      realStoreDirectory: layout.realStoreDirectory,
      stateDirectory: layout.stateDirectory,
      runningBuilds: scheduler.running,
      waitingBuilds: scheduler.waiting,
      validPaths: graph.size,
      ...(options?.sizes === true && { sizes: await measureStore(this.#store) }),
    };
  }

  async queryPathInfo(path: StorePath): Promise<PathInfo | undefined> {
    if (this.#store.doubtedPaths > 0) await this.#store.whenBelieved([path]);
    return this.#core.pathInfos.find(path);
  }

  async queryPathDetails(path: StorePath): Promise<PathDetails | undefined> {
    const store = this.#store;
    await store.whenBelieved([path]);
    const info = store.findPathInfo(path);
    if (info === undefined) return undefined;
    const closure = store.graph.closure([path], "forward");
    const record = store.records.findByOutput(path);
    return {
      info,
      realPath: store.layout.realPath(path),
      referrers: store.graph.referrers(path),
      validDerivers: store.validDerivers(path),
      closureBytes: store.narBytes(closure),
      closurePaths: closure.length,
      ...(record === undefined ? {} : { record }),
    };
  }

  async queryValidPaths(paths: readonly StorePath[]): Promise<readonly StorePath[]> {
    const { graph } = this.#store;
    await this.#store.whenBelieved(paths);
    const valid = paths.filter((path) => graph.has(path));
    // Who asks whether a path is there means to use it: it must not go before the next call names it.
    this.#store.leases.take(this.#owner, valid);
    return valid;
  }

  async queryReferrers(path: StorePath): Promise<readonly StorePath[]> {
    return this.#store.graph.referrers(path);
  }

  async queryClosure(paths: readonly StorePath[], direction: "forward" | "backward"): Promise<readonly StorePath[]> {
    await this.#assertValid(paths);
    return this.#store.graph.closure(paths, direction);
  }

  async findPathByHashPart(hashPart: string): Promise<StorePath | undefined> {
    return this.#store.findByHashPart(hashPart);
  }

  async queryDerivationOutputs(drvPath: StorePath): Promise<Readonly<Record<string, StorePath | null>>> {
    await this.#assertValid([drvPath]);
    const outputs: Record<string, StorePath | null> = Object.create(null);
    for (const [id, path] of this.#store.derivationOutputs(drvPath)) outputs[id] = path;
    return outputs;
  }

  addSource(name: string, method: AddMethod, archive: ByteStream, options?: Cancellable): Promise<PathInfo> {
    return addSource(this.#store, name, method, archive, this.#addOptions(options));
  }

  async addNar(info: Omit<PathInfo, "registeredAtSeconds">, archive: ByteStream, options?: Cancellable): Promise<void> {
    await addToStore(this.#store, info, archive, { ...this.#addOptions(options), mustProve: !this.#caller.trusted });
  }

  addText(
    name: string,
    contents: Uint8Array,
    references: readonly StorePath[],
    options?: Cancellable,
  ): Promise<StorePath> {
    return addText(this.#store, name, contents, references, this.#addOptions(options));
  }

  readNar(path: StorePath, options?: Cancellable): ByteStream {
    return readNar(this.#store, path, signalOf(options));
  }

  readListing(path: StorePath, options?: Cancellable): Promise<NarListing> {
    return readListing(this.#store, path, signalOf(options));
  }

  readFile(path: StorePath, inside: string, options?: Cancellable): ByteStream {
    return readFile(this.#store, path, inside, signalOf(options));
  }

  async build(targets: readonly DerivedPath[], options: BuildOptions): Promise<readonly BuildResult[]> {
    const { onDisconnect = "cancel" } = options;
    assertPriority(options.priority, this.#caller);
    if (onDisconnect !== "cancel")
      return this.#core.requests.build(targets, { ...options, onDisconnect }, this.#caller, this.#owner);
    const onEvent = (event: BuildEvent) => {
      this.#core.noteEvent(event);
      return options.onEvent?.(event);
    };
    const isWatched = options.onEvent !== undefined;
    return this.#core.scheduler.build(targets, {
      ...{ ...options, onEvent, isWatched, caller: this.#caller, owner: this.#owner },
    });
  }

  async submit(targets: readonly DerivedPath[], options: BuildSettingsAsked & Cancellable): Promise<string> {
    assertPriority(options.priority, this.#caller);
    return this.#core.requests.submit(targets, options, this.#caller);
  }

  async attach(requestId: string, options: AttachOptions = {}): Promise<readonly BuildResult[]> {
    const results = await this.#core.requests.attach(requestId, options, this.#caller);
    for (const { outputs } of results) this.#store.leases.take(this.#owner, Object.values(outputs));
    return results;
  }

  async queryActivity(): Promise<Activity> {
    const { requests, scheduler } = this.#core;
    const usages = scheduler.running > 0 ? await this.#core.readUsage() : undefined;
    const { builds, ...rest } = requests.describe(scheduler.activity());
    return { ...rest, builds: builds.map((build) => ({ ...build, ...usages?.get(build.recordId ?? "") })) };
  }

  async cancel(id: string): Promise<CancelResult> {
    const { uid, pid } = this.#caller;
    const result = this.#core.requests.cancel(id, this.#caller);
    this.#core.log.info({ uid, pid, cancelled: id }, "a client cancelled a request or build");
    return result;
  }

  async queryBuildRecords(query: BuildQuery): Promise<readonly BuildRecord[]> {
    return this.#store.records.list(query);
  }

  async *readLog(recordId: string, options?: Cancellable & { readonly follow?: boolean }): AsyncGenerator<Uint8Array> {
    const running = this.#core.findRunningBuild(recordId);
    if (running === undefined && this.#store.records.find(recordId) === undefined)
      throw new ServerError("BUILD_RECORD_NOT_FOUND", { recordId });
    if (options?.follow === true) await untilAborted(running?.hasSpoken.promise, options.signal);
    yield* this.#store.logs.readLog(recordId, { follow: options?.follow === true, ...signalOf(options) });
  }

  async *readKeptBuild(recordId: string, options?: Cancellable): AsyncGenerator<Uint8Array> {
    const record = this.#store.records.find(recordId);
    if (record === undefined) throw new ServerError("BUILD_RECORD_NOT_FOUND", { recordId });
    const { uid, trusted } = this.#caller;
    if (!trusted && record.user?.uid !== uid)
      throw new ServerError("OPERATION_NOT_ALLOWED", { method: "readKeptBuild", uid });
    const file = await this.#store.keptDirectories.find(recordId);
    if (file === undefined) throw new ServerError("KEPT_BUILD_NOT_FOUND", { recordId, problem: record.kept?.problem });
    yield* file.createReadStream({ ...signalOf(options) }) as AsyncIterable<Buffer>; // closes it
  }

  async addIndirectRoot(link: string, path: StorePath): Promise<void> {
    await addIndirectRoot(this.#store, link, path);
    this.#core.requests.noteRoot(path, this.#caller);
  }

  async addPermanentRoot(name: string, path: StorePath): Promise<void> {
    await addPermanentRoot(this.#store, name, path);
    this.#core.requests.noteRoot(path, this.#caller);
  }

  async removeRoot(from: string): Promise<void> {
    await this.#store.roots.remove(from);
  }

  async listRoots(): Promise<readonly Root[]> {
    return listRoots(this.#store);
  }

  collectGarbage(options: GcOptions): Promise<GcResult> {
    return collectGarbage(this.#store, options);
  }

  async querySettings(): Promise<readonly SettingValue[]> {
    return this.#core.querySettings();
  }

  async reload(): Promise<ReloadResult> {
    return this.#core.reload();
  }

  readMetrics(): Promise<string> {
    return this.#core.metrics.read();
  }

  async shutdown(options: Cancellable & { readonly drainMs: number }): Promise<void> {
    const { uid, pid } = this.#caller;
    this.#core.log.info({ uid, pid }, "a client asked the daemon to end");
    this.#core.shutdown(options.drainMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#store.leases.release(this.#owner);
  }

  /** Throws STORE_PATH_NOT_VALID. */
  async #assertValid(paths: readonly StorePath[]): Promise<void> {
    await this.#store.whenBelieved(paths);
    for (const path of paths)
      if (!this.#store.graph.has(path))
        throw new StoreError("STORE_PATH_NOT_VALID", { path: printStorePath(this.#store.directory, path) });
  }

  #addOptions(options?: Cancellable) {
    return { leaseOwner: this.#owner, ...signalOf(options) };
  }
}

async function untilAborted(promise: Promise<void> | undefined, signal: AbortSignal | undefined): Promise<void> {
  if (promise === undefined || signal === undefined) return promise;
  const aborted = Promise.withResolvers<void>();
  const onAbort = () => aborted.resolve();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    if (!signal.aborted) await Promise.race([promise, aborted.promise]);
    signal.throwIfAborted();
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

function signalOf(options: Cancellable | undefined): Cancellable {
  const signal = options?.signal;
  return signal === undefined ? {} : { signal };
}
