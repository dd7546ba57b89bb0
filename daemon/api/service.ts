/**
 * The one interface of all front ends: command line, library, and each protocol speak to a `Service`, whether it runs
 * in this process or behind a socket. Everything here is plain data, promises, async iterables and AbortSignals.
 * Every method may throw a `CloisterError`; its code is the same on every front end.
 */
import type { BuildQuery, BuildRecord } from "../../derivations/build-record.ts";
import type { BuildResult } from "../../derivations/build-result.ts";
import type { ContentAddress } from "../../derivations/content-address.ts";
import type { DerivedPath } from "../../derivations/derived-path.ts";
import type { NarListing } from "../../derivations/nar/listing.ts";
import type { PathInfo } from "../../derivations/path-info.ts";
import type { StoreDirectory, StorePath } from "../../derivations/store-path.ts";
import type { Activity } from "./activity.ts";
import type { BuildLimits } from "./build-limits.ts";
import type { BuildEvent } from "./events.ts";
import type { CancelResult, OnDisconnect } from "./requests.ts";
import type { ReloadResult, SettingValue } from "./setting-values.ts";
import type { VariationName } from "./variations.ts";

export interface Cancellable {
  readonly signal?: AbortSignal;
}

/** A stream of bytes in pieces; no piece is empty. */
export type ByteStream = AsyncIterable<Uint8Array>;

export interface Status {
  /** The program's version and the id of this very build of it: a daemon of another build is replaced. */
  readonly version: string;
  readonly buildId: string;
  readonly pid: number;
  readonly startedAtMs: number;
  readonly storeDirectory: StoreDirectory;
  /** Physical directory that holds the store's objects, such as "/home/ada/.local/share/cloister/cloister/store". */
  readonly realStoreDirectory: string;
  readonly stateDirectory: string;
  readonly strength: "range" | "root" | "single";
  readonly system: string;
  readonly maxJobs: number;
  readonly runningBuilds: number;
  readonly waitingBuilds: number;
  readonly connections: number;
  readonly validPaths: number;
  /** Only if asked for: they take a while. In bytes. */
  readonly sizes?: StatusSizes;
}

export interface StatusSizes {
  /** Of all valid paths, by the sizes of their archives. */
  readonly storeBytes: number;
  readonly databaseBytes: number;
  readonly logBytes: number;
  /** There are more logs than were looked at. */
  readonly moreLogs: boolean;
  /** Where the store lies, for the daemon's user. */
  readonly freeBytes: number;
}

export interface StatusOptions extends Cancellable {
  readonly sizes?: boolean;
}

/** How an object is addressed when the sender does not know its path yet: the daemon computes it from the contents. */
export type AddMethod =
  | { readonly kind: "source"; readonly references: readonly StorePath[] }
  | { readonly kind: "fixed"; readonly address: ContentAddress; readonly references: readonly StorePath[] };

/** What a request says of its builds. */
export interface BuildSettingsAsked {
  /** "check" builds valid outputs again in another jail and compares. */
  readonly mode: "normal" | "check";
  /** Of a check: how many builds are compared, with the one whose outputs are in the store; 2 if absent. */
  readonly rounds?: number;
  /** Of a check: what its builds are given otherwise than the first. Where they differ, more builds find out by what. */
  readonly vary?: readonly VariationName[];
  readonly keepGoing: boolean;
  /** NIX_BUILD_CORES; 0 means all. */
  readonly cores: number;
  /** 0: none. */
  readonly timeoutMs: number;
  readonly silenceMs: number;
  /** What each build may take; the daemon's own limits and the derivation's hold too. */
  readonly limits?: BuildLimits;
  /** Fail before a builder runs where this machine cannot enforce one of its limits. */
  readonly requireLimits?: boolean;
  /** Count the system calls that jails refuse. */
  readonly seccompLog?: boolean;
  /** What builds that fail leave in their build directories is kept for `readKeptBuild`, until others take its place. */
  readonly keepFailed?: boolean;
  /** -100 to 100, 0 if absent: before or after this user's other builds; above 0, for trusted users, before those of others. */
  readonly priority?: number;
}

export interface BuildOptions extends BuildSettingsAsked, Cancellable {
  /** "cancel" by default. The client went away when the signal's reason has the code CLIENT_GONE; else it cancelled. */
  readonly onDisconnect?: OnDisconnect;
  /** In this process what it returns is waited for while it is told of what was before it came. */
  readonly onEvent?: (event: BuildEvent) => unknown;
}

export interface AttachOptions extends Cancellable {
  /** In this process the next event waits for what it returns; a client's events come as they come. */
  readonly onEvent?: (event: BuildEvent) => unknown;
}

export interface GcOptions extends Cancellable {
  /** Only say what would go. */
  readonly dryRun: boolean;
  /** Stop once more than this many bytes are freed; undefined: no limit. */
  readonly maxFreedBytes?: bigint;
  /** Only these, and only if they are dead: else GC_PATH_ALIVE. */
  readonly paths?: readonly StorePath[];
}

export interface GcResult {
  readonly deleted: readonly StorePath[];
  readonly freedBytes: bigint;
  readonly alive: number;
}

export interface Root {
  /** "permanent": a link of the state directory; "indirect": a link elsewhere that may vanish; "lease": in use now. */
  readonly kind: "permanent" | "indirect" | "lease";
  /** Where the link lies (physical); for a lease who holds it. */
  readonly from: string;
  readonly path: StorePath;
  /** An indirect root whose link cannot be looked at counts as alive. */
  readonly unreadable: boolean;
}

export interface PathDetails {
  readonly info: PathInfo;
  readonly realPath: string;
  readonly referrers: readonly StorePath[];
  readonly validDerivers: readonly StorePath[];
  readonly closureBytes: bigint;
  readonly closurePaths: number;
  /** The record of the build that made it, when cloister built it. */
  readonly record?: BuildRecord;
}

export interface Service extends AsyncDisposable {
  status(options?: StatusOptions): Promise<Status>;

  // What is there
  queryPathInfo(path: StorePath, options?: Cancellable): Promise<PathInfo | undefined>;
  queryPathDetails(path: StorePath, options?: Cancellable): Promise<PathDetails | undefined>;
  queryValidPaths(paths: readonly StorePath[], options?: Cancellable): Promise<readonly StorePath[]>;
  queryReferrers(path: StorePath, options?: Cancellable): Promise<readonly StorePath[]>;
  /** Closure over references ("forward") or referrers ("backward"), in topological order: dependencies first. */
  queryClosure(
    paths: readonly StorePath[],
    direction: "forward" | "backward",
    options?: Cancellable,
  ): Promise<readonly StorePath[]>;
  findPathByHashPart(hashPart: string, options?: Cancellable): Promise<StorePath | undefined>;
  /** The outputs of a derivation that is in the store, by id; null where it is not known yet (floating, not built). */
  queryDerivationOutputs(
    drvPath: StorePath,
    options?: Cancellable,
  ): Promise<Readonly<Record<string, StorePath | null>>>;

  // What comes in
  /** Adds a NAR whose path follows from its contents; returns the info of the now valid path. A lease holds it. */
  addSource(name: string, method: AddMethod, archive: ByteStream, options?: Cancellable): Promise<PathInfo>;
  /** Adds a NAR with all that is known of it (trusted clients only, unless it is content-addressed and matches). */
  addNar(info: Omit<PathInfo, "registeredAtSeconds">, archive: ByteStream, options?: Cancellable): Promise<void>;
  /** Adds a text object. A name that ends in ".drv" is parsed, and refused unless its outputs are what they should be. */
  addText(
    name: string,
    contents: Uint8Array,
    references: readonly StorePath[],
    options?: Cancellable,
  ): Promise<StorePath>;

  // What goes out
  /** The NAR of a path, read off the disk as it is. */
  readNar(path: StorePath, options?: Cancellable): ByteStream;
  readListing(path: StorePath, options?: Cancellable): Promise<NarListing>;
  /** The contents of one regular file of a path; `inside` is "" for a path that is a file itself, else "bin/hello". */
  readFile(path: StorePath, inside: string, options?: Cancellable): ByteStream;

  // Building
  /** Makes the targets valid. One result per target derivation (opaque targets give one too), in the targets' order. */
  build(targets: readonly DerivedPath[], options: BuildOptions): Promise<readonly BuildResult[]>;
  /** A build that needs no client: answers at once with the request's id, and survives this caller and the daemon. */
  submit(targets: readonly DerivedPath[], options: BuildSettingsAsked & Cancellable): Promise<string>;
  /**
   * The request from its beginning: all events, each log whole, then its results; also for some time after its end. The
   * signal only ends the watching. Throws REQUEST_UNKNOWN, REQUEST_NOT_YOURS, REQUEST_NOT_DETACHED, REQUEST_SUSPENDED.
   */
  attach(requestId: string, options?: AttachOptions): Promise<readonly BuildResult[]>;
  /** Who asked for what, what runs, and what waits for what. */
  queryActivity(options?: Cancellable): Promise<Activity>;
  /**
   * Ends a request, or the running build of a record for all requests that the caller may speak for. What others want
   * runs on. Throws REQUEST_UNKNOWN, REQUEST_NOT_YOURS.
   */
  cancel(id: string, options?: Cancellable): Promise<CancelResult>;
  /** Newest first; at most 1,000 at a time. */
  queryBuildRecords(query: BuildQuery, options?: Cancellable): Promise<readonly BuildRecord[]>;
  /** The log of a build record, raw bytes of the builder. With `follow`, until the build ends. */
  readLog(recordId: string, options?: Cancellable & { readonly follow?: boolean }): ByteStream;

  /** The build directory of a build that failed, as a NAR, for whoever asked for that build and for trusted callers. */
  readKeptBuild(recordId: string, options?: Cancellable): ByteStream;

  // Keeping
  /** Registers a symlink of the client's as a root: `link` is absolute, and only ever readlink'ed by the daemon. */
  addIndirectRoot(link: string, path: StorePath, options?: Cancellable): Promise<void>;
  addPermanentRoot(name: string, path: StorePath, options?: Cancellable): Promise<void>;
  removeRoot(from: string, options?: Cancellable): Promise<void>;
  listRoots(options?: Cancellable): Promise<readonly Root[]>;
  collectGarbage(options: GcOptions): Promise<GcResult>;

  // The daemon itself
  /** Its settings, and where each comes from; none of a service that a program opened in its own process. */
  querySettings(options?: Cancellable): Promise<readonly SettingValue[]>;
  /** Reads the configuration again; what cannot change while it runs stays. Trusted clients only. Throws CONFIG_ codes. */
  reload(options?: Cancellable): Promise<ReloadResult>;
  /** What there is to measure, in the text form of Prometheus: builds, queue, jails, store, logs, delays of the daemon. */
  readMetrics(options?: Cancellable): Promise<string>;

  /** Asks the daemon to end: it refuses new work, lets running builds go on up to `drainMs`, then cancels them. */
  shutdown(options: Cancellable & { readonly drainMs: number }): Promise<void>;
}

/** What is known of who asks: from the kernel, never from the client's words. */
export interface Caller {
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
  readonly trusted: boolean;
}
