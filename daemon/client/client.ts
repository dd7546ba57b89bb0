/** The service of a daemon, through a connection: each method is one request of the msgpack protocol. */
import type { BuildQuery, BuildRecord } from "../../derivations/build-record.ts";
import type { BuildResult } from "../../derivations/build-result.ts";
import type { DerivedPath } from "../../derivations/derived-path.ts";
import type { NarListing } from "../../derivations/nar/listing.ts";
import type { PathInfo } from "../../derivations/path-info.ts";
import type { StoreDirectory, StorePath } from "../../derivations/store-path.ts";
import type { Activity } from "../api/activity.ts";
import type { Params } from "../api/msgpack-messages.ts";
import type { CancelResult } from "../api/requests.ts";
import type {
  AddMethod,
  AttachOptions,
  BuildOptions,
  BuildSettingsAsked,
  ByteStream,
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
import type { LastingConnection } from "./lasting-connection.ts";

export class Client implements Service {
  readonly #connection: LastingConnection;

  constructor(connection: LastingConnection) {
    this.#connection = connection;
  }

  /** The daemon's socket. */
  get socket(): string {
    return this.#connection.socket;
  }

  /** The logical directory of the daemon's store. */
  get storeDirectory(): StoreDirectory {
    return this.#connection.hello.daemon.storeDirectory;
  }

  /** Whether the daemon trusts this user. */
  get trusted(): boolean {
    return this.#connection.hello.daemon.role === "trusted";
  }

  /** Resolves when the connection that there is now is over; the next request may open another one. */
  get closed(): Promise<void> {
    return this.#connection.closed;
  }

  status(options?: StatusOptions): Promise<Status> {
    return this.#connection.request("status", options?.sizes === true ? { sizes: true } : {}, options);
  }

  async queryPathInfo(path: StorePath, options?: Cancellable): Promise<PathInfo | undefined> {
    return (await this.#connection.request("queryPathInfo", { path }, options)) ?? undefined;
  }

  async queryPathDetails(path: StorePath, options?: Cancellable): Promise<PathDetails | undefined> {
    return (await this.#connection.request("queryPathDetails", { path }, options)) ?? undefined;
  }

  queryValidPaths(paths: readonly StorePath[], options?: Cancellable): Promise<readonly StorePath[]> {
    return this.#connection.request("queryValidPaths", { paths: [...paths] }, options);
  }

  queryReferrers(path: StorePath, options?: Cancellable): Promise<readonly StorePath[]> {
    return this.#connection.request("queryReferrers", { path }, options);
  }

  queryClosure(
    paths: readonly StorePath[],
    direction: "forward" | "backward",
    options?: Cancellable,
  ): Promise<readonly StorePath[]> {
    return this.#connection.request("queryClosure", { paths: [...paths], direction }, options);
  }

  async findPathByHashPart(hashPart: string, options?: Cancellable): Promise<StorePath | undefined> {
    return (await this.#connection.request("findPathByHashPart", { hashPart }, options)) ?? undefined;
  }

  queryDerivationOutputs(
    drvPath: StorePath,
    options?: Cancellable,
  ): Promise<Readonly<Record<string, StorePath | null>>> {
    return this.#connection.request("queryDerivationOutputs", { drvPath }, options);
  }

  addSource(name: string, method: AddMethod, archive: ByteStream, options?: Cancellable): Promise<PathInfo> {
    return this.#connection.request("addSource", { name, method }, { ...options, upload: archive });
  }

  async addNar(info: Omit<PathInfo, "registeredAtSeconds">, archive: ByteStream, options?: Cancellable): Promise<void> {
    await this.#connection.request("addNar", { info }, { ...options, upload: archive });
  }

  addText(
    name: string,
    contents: Uint8Array,
    references: readonly StorePath[],
    options?: Cancellable,
  ): Promise<StorePath> {
    return this.#connection.request("addText", { name, contents, references: [...references] }, options);
  }

  readNar(path: StorePath, options?: Cancellable): ByteStream {
    return this.#connection.download("readNar", { path }, options);
  }

  readListing(path: StorePath, options?: Cancellable): Promise<NarListing> {
    return this.#connection.request("readListing", { path }, options);
  }

  readFile(path: StorePath, inside: string, options?: Cancellable): ByteStream {
    return this.#connection.download("readFile", { path, inside }, options);
  }

  build(targets: readonly DerivedPath[], options: BuildOptions): Promise<readonly BuildResult[]> {
    const { signal, onEvent, onDisconnect } = options;
    const params = {
      ...askedOfBuild(targets, options),
      ...(onDisconnect && { onDisconnect }),
      events: onEvent !== undefined,
    };
    return this.#connection.request("build", params, { signal, onEvent });
  }

  submit(targets: readonly DerivedPath[], options: BuildSettingsAsked & Cancellable): Promise<string> {
    return this.#connection.request("submit", askedOfBuild(targets, options), { signal: options.signal });
  }

  attach(requestId: string, options: AttachOptions = {}): Promise<readonly BuildResult[]> {
    const { signal, onEvent } = options;
    return this.#connection.request("attach", { requestId, events: onEvent !== undefined }, { signal, onEvent });
  }

  queryActivity(options?: Cancellable): Promise<Activity> {
    return this.#connection.request("queryActivity", {}, options);
  }

  cancel(id: string, options?: Cancellable): Promise<CancelResult> {
    return this.#connection.request("cancel", { id }, options);
  }

  queryBuildRecords(query: BuildQuery, options?: Cancellable): Promise<readonly BuildRecord[]> {
    return this.#connection.request("queryBuildRecords", query, options);
  }

  readLog(recordId: string, options?: Cancellable & { readonly follow?: boolean }): ByteStream {
    return this.#connection.download("readLog", { recordId, follow: options?.follow === true }, options);
  }

  readKeptBuild(recordId: string, options?: Cancellable): ByteStream {
    return this.#connection.download("readKeptBuild", { recordId }, options);
  }

  async addIndirectRoot(link: string, path: StorePath, options?: Cancellable): Promise<void> {
    await this.#connection.request("addIndirectRoot", { link, path }, options);
  }

  async addPermanentRoot(name: string, path: StorePath, options?: Cancellable): Promise<void> {
    await this.#connection.request("addPermanentRoot", { name, path }, options);
  }

  async removeRoot(from: string, options?: Cancellable): Promise<void> {
    await this.#connection.request("removeRoot", { from }, options);
  }

  listRoots(options?: Cancellable): Promise<readonly Root[]> {
    return this.#connection.request("listRoots", {}, options);
  }

  collectGarbage(options: GcOptions): Promise<GcResult> {
    const { signal, dryRun, maxFreedBytes, paths } = options;
    const params = {
      dryRun,
      ...(maxFreedBytes === undefined ? {} : { maxFreedBytes }),
      ...(paths === undefined ? {} : { paths: [...paths] }),
    };
    return this.#connection.request("collectGarbage", params, { signal });
  }

  querySettings(options?: Cancellable): Promise<readonly SettingValue[]> {
    return this.#connection.request("querySettings", {}, options);
  }

  reload(options?: Cancellable): Promise<ReloadResult> {
    return this.#connection.request("reload", {}, options);
  }

  readMetrics(options?: Cancellable): Promise<string> {
    return this.#connection.request("readMetrics", {}, options);
  }

  async shutdown(options: Cancellable & { readonly drainMs: number }): Promise<void> {
    await this.#connection.request("shutdown", { drainMs: options.drainMs }, { signal: options.signal });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection.close();
  }
}

function askedOfBuild(targets: readonly DerivedPath[], options: BuildSettingsAsked): Params<"submit"> {
  const { mode, keepGoing, cores, timeoutMs, silenceMs, limits, requireLimits, seccompLog, rounds, vary } = options;
  const { priority, keepFailed } = options;
  return {
    ...{ targets: [...targets], mode, keepGoing, cores, timeoutMs, silenceMs },
    ...(limits === undefined ? {} : { limits }),
    ...(requireLimits === undefined ? {} : { requireLimits }),
    ...(seccompLog && { seccompLog }),
    ...(priority !== undefined && { priority }),
    ...(rounds !== undefined && { rounds }),
    ...(vary !== undefined && { vary }),
    ...(keepFailed && { keepFailed }),
  };
}
