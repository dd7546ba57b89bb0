/**
 * The service in this process: store, launcher and scheduler put together. Each caller gets a view of its own, which
 * knows who asks and under whose name leases are held; the daemon makes one for each connection.
 */
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { parseStoreDirectory, type StoreDirectory } from "../../derivations/store-path.ts";
import { type JailUsage, type Launcher, type LauncherOptions, startLauncher } from "../../sandbox-native/launcher.ts";
import { defaultWayOut, findPasta, type WayOutOptions } from "../../sandbox-native/way-out.ts";
import type { StoreLayout } from "../../store/layout.ts";
import { openStore, type Store, type StoreNotice } from "../../store/store.ts";
import type { BuildEvent } from "../api/events.ts";
import type { Caller, Service, Status } from "../api/service.ts";
import type { ReloadResult, SettingValue } from "../api/setting-values.ts";
import { defaultStoreDirectory } from "../api/socket-place.ts";
import type { BuildSettings } from "../build/context.ts";
import { Scheduler } from "../scheduler/scheduler.ts";
import { CallerService, type RunningBuild, type ServiceCore } from "./caller-service.ts";
import type { Retention } from "./ended-requests.ts";
import { errorFields, type Logger, openLogger } from "./logger.ts";
import { Metrics } from "./metrics/metrics.ts";
import { PathInfoCache } from "./path-info-cache.ts";
import { RequestRegistry } from "./request-registry.ts";

export interface LocalOptions {
  /** Physical directory below which store and state lie. */
  readonly root: string;
  /** Logical; by default /cloister/store. */
  readonly storeDirectory?: string;
  /** Logical; by default var/cloister beside the store directory. */
  readonly stateDirectory?: string;
  /** How builds are kept apart; by default the strongest that this machine grants. */
  readonly strength?: "auto" | "range" | "root" | "single";
  /** Builds at once; by default one for each processor. */
  readonly maxJobs?: number;
  /** How much processor time users get, by uid, in proportion to the others; 1 for whoever is not named. */
  readonly shares?: ReadonlyMap<number, number>;
  /** What builders are told where a request says 0; by default, and if 0, all processors. */
  readonly cores?: number;
  /** Of builds of fixed outputs; by default they have a way out where the machine has one. */
  readonly network?: Partial<WayOutOptions>;
  /** What holds for all builds, such as limits. */
  readonly settings?: Partial<Omit<BuildSettings, "system">>;
  /** Where control groups may be made: "auto" (by default), "none", or a group's path as in /proc/self/cgroup. */
  readonly controlGroupRoot?: string;
  /** Of requests that needed no client and have ended; by default a day, and 100 of each user's. */
  readonly retention?: Partial<Retention>;
  /** By default nothing is logged. */
  readonly log?: Logger;
}

/** For the daemon, which has more than one caller. */
export interface LocalService extends AsyncDisposable {
  readonly storeDirectory: StoreDirectory;
  readonly realStoreDirectory: string;
  readonly strength: Status["strength"];
  readonly runningBuilds: number;
  /** Requests that go on without a client. */
  readonly keptRequests: number;
  /** Resolves when the launcher is gone: nothing can be built or written any more. */
  readonly launcherEnded: Promise<void>;
  /** The service as this caller has it. Disposing it gives back what `leaseOwner` holds, and nothing else. */
  forCaller(caller: Caller, leaseOwner: string): Service;
  /** What holds for builds that start from now on. */
  reconfigure(changes: Changes): void;
  /** Refuses new builds, lets running ones go on for so long, then cancels them. */
  drain(drainMs: number): Promise<void>;
}

/** What may change while it runs. */
export interface Changes extends Required<Pick<LocalOptions, "cores" | "settings">> {
  readonly blockedNetworks: readonly string[];
}

export interface LocalServiceOptions extends LocalOptions {
  readonly countConnections?: () => number;
  /** A caller asked for the end; by default builds are drained and no new ones are taken. */
  readonly onShutdown?: (drainMs: number) => void;
  /** What callers are told of the settings, and their wish that they be read again; by default there are none. */
  readonly settingsOfDaemon?: { describe(): readonly SettingValue[]; reload(): ReloadResult };
  /** Between the launcher's start and the opening of the databases. */
  readonly onLauncherStarted?: (layout: StoreLayout) => void;
  /** In place of our own launcher: tests take one out of which they break. */
  readonly launcherProgram?: Pick<LauncherOptions, "executable" | "extraArguments">;
}

/**
 * Opens a store and serves it in this process, for tools and tests. Throws STORE_IN_USE if a daemon has it, and what
 * keeps store or launcher from opening. Disposing the service ends all builds and closes the store.
 */
export async function openLocal(options: LocalOptions): Promise<Service> {
  const local = await openLocalService(options);
  const caller: Caller = {
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
    pid: process.pid,
    trusted: true,
  };
  const service = local.forCaller(caller, `process ${process.pid}`);
  const release = service[Symbol.asyncDispose].bind(service);
  return Object.assign(service, {
    [Symbol.asyncDispose]: async () => {
      await local.drain(0);
      await release();
      await local[Symbol.asyncDispose]();
    },
  });
}

export async function openLocalService(options: LocalServiceOptions): Promise<LocalService> {
  const maxJobs = options.maxJobs ?? availableParallelism();
  const network = { ...defaultWayOut, pasta: findPasta(), ...options.network };
  let launcher: Launcher | undefined;
  const store = await openStore({
    storeDirectory: parseStoreDirectory(options.storeDirectory ?? defaultStoreDirectory),
    root: resolve(options.root),
    ...(options.stateDirectory === undefined ? {} : { stateDirectory: options.stateDirectory }),
    onNotice: (notice) => noteNotice(options.log, notice),
    startWriter: async (layout) => {
      launcher = await startLauncher({
        storeDirectory: layout.realStoreDirectory,
        stagingDirectory: layout.stagingDirectory,
        trashDirectory: layout.trashDirectory,
        buildsDirectory: layout.buildsDirectory,
        strength: options.strength ?? "auto",
        maxJobs,
        pasta: network.mode === "none" ? "" : network.pasta,
        ...(options.controlGroupRoot === undefined ? {} : { controlGroupRoot: options.controlGroupRoot }),
        ...options.launcherProgram,
      });
      options.onLauncherStarted?.(layout);
      return launcher;
    },
  });
  if (launcher === undefined) throw new Error("the store was opened without a launcher");
  return new Local(store, launcher, { ...options, maxJobs, network });
}

class Local implements LocalService, ServiceCore {
  readonly store: Store;
  readonly launcher: Launcher;
  readonly scheduler: Scheduler;
  readonly requests: RequestRegistry;
  readonly pathInfos: PathInfoCache;
  readonly metrics: Metrics;
  readonly system = systemOfThisMachine();
  readonly startedAtMs = Date.now();
  readonly maxJobs: number;
  readonly log: Logger;
  readonly #options: LocalServiceOptions;
  readonly #network: BuildSettings["network"];
  /** By the id of its record; there are never more than run at once. */
  readonly #building = new Map<string, RunningBuild>();

  constructor(
    store: Store,
    launcher: Launcher,
    options: LocalServiceOptions & { readonly maxJobs: number; readonly network: BuildSettings["network"] },
  ) {
    this.store = store;
    this.launcher = launcher;
    this.pathInfos = new PathInfoCache(store);
    this.maxJobs = options.maxJobs;
    this.log = options.log ?? openLogger("silent", { readable: false });
    this.#options = options;
    this.#network = options.network;
    const cores = options.cores || availableParallelism();
    const { maxJobs, network, settings } = options;
    this.scheduler = new Scheduler({
      store,
      launcher,
      maxJobs,
      cores,
      ...(options.shares && { shares: options.shares }),
      system: this.system,
      settings: { ...settings, network },
      onSharedGivenUp: (sharers) => this.requests.onSharedGivenUp(sharers),
    });
    const { scheduler, log } = this;
    const noteEvent = (event: BuildEvent) => this.noteEvent(event);
    const { retention = {} } = options;
    this.requests = new RequestRegistry({ store, scheduler, log, noteEvent, retention });
    this.requests.takeUp();
    const { startedAtMs } = this;
    this.metrics = new Metrics({ store, scheduler, startedAtMs, countConnections: () => this.connections });
  }

  get storeDirectory(): StoreDirectory {
    return this.store.directory;
  }

  get realStoreDirectory(): string {
    return this.store.layout.realStoreDirectory;
  }

  get strength(): Status["strength"] {
    return this.launcher.strength;
  }

  get runningBuilds(): number {
    return this.scheduler.running;
  }

  get keptRequests(): number {
    return this.requests.keptRequests;
  }

  get launcherEnded(): Promise<void> {
    return this.launcher.closed;
  }

  get connections(): number {
    return this.#options.countConnections?.() ?? 0;
  }

  async readUsage(): Promise<ReadonlyMap<string, JailUsage>> {
    try {
      return await this.launcher.usage();
    } catch (error) {
      this.log.error(errorFields(error), "what builds have taken so far is not known");
      return new Map();
    }
  }

  /** A build has its record from its end on; until then its log can be asked for by the id in its events. */
  findRunningBuild(recordId: string): RunningBuild | undefined {
    return this.#building.get(recordId);
  }

  noteEvent(event: BuildEvent): void {
    if (event.kind === "build-started") {
      const { recordId, drvPath } = event;
      this.#building.set(recordId, { recordId, drvPath, hasSpoken: Promise.withResolvers() });
    } else if (event.kind === "build-log" || event.kind === "build-finished") {
      for (const build of this.#building.values()) {
        if (build.drvPath !== event.drvPath) continue;
        build.hasSpoken.resolve();
        if (event.kind === "build-finished") this.#building.delete(build.recordId);
      }
    }
  }

  forCaller(caller: Caller, leaseOwner: string): Service {
    return new CallerService(this, caller, leaseOwner);
  }

  reconfigure({ cores, settings, blockedNetworks: blocked }: Changes): void {
    const network = { ...this.#network, blocked };
    this.scheduler.reconfigure({ cores: cores || availableParallelism(), settings: { ...settings, network } });
  }

  querySettings(): readonly SettingValue[] {
    return this.#options.settingsOfDaemon?.describe() ?? [];
  }

  reload(): ReloadResult {
    return this.#options.settingsOfDaemon?.reload() ?? { applied: [], needRestart: [] };
  }

  async drain(drainMs: number): Promise<void> {
    this.requests.stop();
    await this.scheduler.drain(drainMs);
    await this.requests.settle();
  }

  shutdown(drainMs: number): void {
    if (this.#options.onShutdown !== undefined) this.#options.onShutdown(drainMs);
    else void this.drain(drainMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.drain(0);
    this.metrics[Symbol.dispose]();
    await this.store[Symbol.asyncDispose](); // and with it the launcher
  }
}

/** What the store does in the background and someone should know. */
function noteNotice(log: Logger | undefined, notice: StoreNotice): void {
  switch (notice.kind) {
    case "path-damaged":
      log?.error(
        notice,
        "a path was damaged when the machine crashed; it is not valid any more, with what refers to it",
      );
      return;
    case "sync-failed":
      log?.error(errorFields(notice.error), "what was registered could not be made durable yet; it is tried again");
      return;
    case "commit-unfinished":
      log?.error(
        { recordId: notice.recordId, ...errorFields(notice.error) },
        "the outputs of a build are valid, but its record does not say so before the next start",
      );
      return;
    case "log-failed":
      log?.error(errorFields(notice.error), "a build's log is not whole");
      return;
    default:
      notice satisfies never;
  }
}

/** As Nix and Guix name it. */
function systemOfThisMachine(): string {
  const architectures: Partial<Record<NodeJS.Architecture, string>> = { x64: "x86_64", arm64: "aarch64", ia32: "i686" };
  return `${architectures[process.arch] ?? process.arch}-linux`;
}
