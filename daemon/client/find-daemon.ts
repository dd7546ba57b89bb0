/**
 * Which daemon to use: the socket that is named, else that of the store that is named, else the system's if it may be
 * connected to, else that of this user's own store. A store of one's own has its daemon started when there is none,
 * and replaced when it is of another build of the program. This is the client's one reader of the environment.
 */
import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { thisProgram } from "../api/build-id.ts";
import { logFileOf, type StorePlace, socketOf, systemSocket } from "../api/socket-place.ts";
import { Client } from "./client.ts";
import { type ConfiguredPlace, readConfiguredPlace } from "./configured-place.ts";
import { type Connection, openConnection } from "./connection.ts";
import { ClientError } from "./errors.ts";
import { LastingConnection } from "./lasting-connection.ts";
import { readLogTail, startDaemon } from "./start-daemon.ts";

export interface ConnectOptions {
  /** Only this socket; nothing is started. */
  readonly socket?: string;
  /** The physical root of the store whose daemon it shall be. */
  readonly root?: string;
  /** Logical, for a store that is not at the usual place below its root. */
  readonly storeDirectory?: string;
  readonly stateDirectory?: string;
  /** For a daemon that has to be started: how builds must be kept apart. */
  readonly strength?: "auto" | "range" | "root" | "single";
  /** False: never start one; DAEMON_NOT_FOUND if there is none. */
  readonly start?: boolean;
  /** False: the client ends with its first daemon. */
  readonly reconnect?: boolean;
  /** Called when a daemon went away and another one took its place; what the client held is held there, too. */
  readonly onReconnected?: () => void;
  /** What takes time and why, such as a daemon of another build that finishes its work first. */
  readonly onNotice?: (text: string) => void;
  readonly signal?: AbortSignal;
}

/**
 * Connects to a daemon, and starts it if it is this user's own and does not run. Throws DAEMON_NOT_FOUND,
 * DAEMON_CONNECT_DENIED, DAEMON_CONNECT_FAILED, DAEMON_START_FAILED, DAEMON_NOT_REPLACED,
 * PROTOCOL_VERSION_UNSUPPORTED, and the signal's reason.
 */
export async function connect(options: ConnectOptions = {}): Promise<Client> {
  const first = await openDaemon(options);
  const { signal: _, ...later } = options; // which was for the first one only
  const { onReconnected } = options;
  const how = options.reconnect === false ? undefined : { open: () => openDaemon(later), onReconnected };
  return new Client(new LastingConnection(first, how));
}

async function openDaemon(options: ConnectOptions): Promise<Connection> {
  const environment = process.env;
  const socket = options.socket ?? (environment["CLOISTER_SOCKET"] || undefined);
  if (socket !== undefined) return openNamed(resolve(socket), options);

  const namedRoot = options.root ?? (environment["CLOISTER_ROOT"] || undefined);
  const storeDirectory = options.storeDirectory ?? (environment["CLOISTER_STORE_DIR"] || undefined);
  const stateDirectory = options.stateDirectory ?? (environment["CLOISTER_STATE_DIR"] || undefined);
  if (namedRoot === undefined) {
    const system = await tryOpen(systemSocket, options);
    if (system !== undefined) {
      if (storeDirectory === undefined || storeDirectory === system.hello.daemon.storeDirectory) return system;
      await system.close(); // another store than the one that is asked for
    }
  }

  const root = namedRoot === undefined ? undefined : resolve(namedRoot);
  const configured = await readConfiguredPlace(environment, root);
  const place: StorePlace = {
    root: root ?? configured.root ?? ownRoot(environment),
    ...configuredUnless({ storeDirectory, stateDirectory }, configured),
  };
  return openOrStart(place, options);
}

/** What flags and variables say, else what the file does. */
function configuredUnless(
  { storeDirectory, stateDirectory }: Readonly<Record<"storeDirectory" | "stateDirectory", string | undefined>>,
  { root: _, ...configured }: ConfiguredPlace,
): Omit<StorePlace, "root"> {
  return {
    ...configured,
    ...(storeDirectory === undefined ? {} : { storeDirectory }),
    ...(stateDirectory === undefined ? {} : { stateDirectory }),
  };
}

/** Where a user's own store lies. Source: XDG Base Directory Specification; a relative value counts as unset. */
function ownRoot(environment: NodeJS.ProcessEnv): string {
  const data = environment["XDG_DATA_HOME"];
  if (data !== undefined && isAbsolute(data)) return join(data, "cloister");
  return join(environment["HOME"] || homedir(), ".local", "share", "cloister");
}

async function openNamed(socket: string, options: ConnectOptions): Promise<Connection> {
  try {
    return await openConnection(socket, { signal: options.signal });
  } catch (error) {
    throw describeFailure(error, socket);
  }
}

/** How long a start that another process was quicker with is waited for between two looks. */
const retryMs = 20;
/** A daemon that ends, or another one's start, is given this long before we try a start of our own again. */
const patienceMs = 2000;
/** How long a daemon of another build may finish its builds. */
const drainMs = 10 * 60_000;

async function openOrStart(place: StorePlace, options: ConnectOptions): Promise<Connection> {
  const socket = socketOf(place);
  const logFile = logFileOf(place);
  const connectionOptions = { signal: options.signal, readLogTail: () => readLogTail(logFile) };
  const giveUpAtMs = performance.now() + drainMs + 30_000;
  let lookAgainUntilMs = 0;
  let noticed = false;
  /** Once, and never a daemon that we have started: the program may have been compiled again since we began. */
  let mayReplace = true;

  for (;;) {
    const connection = await tryOpen(socket, options, connectionOptions);
    if (connection !== undefined) {
      const isOurs = connection.hello.buildId === thisProgram().buildId;
      if (isOurs || !mayReplace || connection.hello.daemon.role !== "trusted") return connection;
      await replace(connection, options);
      mayReplace = false;
      continue;
    }
    if (options.start === false) throw new ClientError("DAEMON_NOT_FOUND", { socket, reason: "it does not run" });
    if (performance.now() < lookAgainUntilMs) {
      await sleep(retryMs, undefined, options.signal === undefined ? {} : { signal: options.signal });
      continue;
    }

    const started = await startDaemon(place, { ...options, environment: process.env });
    if (started.kind === "running") {
      mayReplace = false;
      continue;
    }
    // Another process owns the store: it is about to listen, or finishing its builds before it ends.
    if (performance.now() > giveUpAtMs) throw started.error;
    lookAgainUntilMs = performance.now() + patienceMs;
    if (noticed) options.onNotice?.(`waiting for the daemon of ${place.root}, which is starting or ending`);
    noticed = true;
  }
}

/** Resolves when the daemon of another build has ended. Throws DAEMON_NOT_REPLACED. */
async function replace(connection: Connection, options: ConnectOptions): Promise<void> {
  const { pid } = connection.hello.daemon;
  const { socket } = connection;
  options.onNotice?.(`replacing the daemon (process ${pid}), which is of another build of cloister`);
  const signal = AbortSignal.any([AbortSignal.timeout(drainMs + 30_000), ...(options.signal ? [options.signal] : [])]);
  const onAbort = () => connection.abandon(signal.reason);
  signal.addEventListener("abort", onAbort);
  try {
    await connection.request("shutdown", { drainMs }, { signal });
    await connection.closed;
    options.signal?.throwIfAborted();
    if (signal.aborted) throw signal.reason;
  } catch (error) {
    await connection.close();
    options.signal?.throwIfAborted();
    if (!isGone(error)) throw new ClientError("DAEMON_NOT_REPLACED", { socket, pid }, { cause: error });
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** Undefined where nothing listens, or where this user may not connect to the system's. */
async function tryOpen(
  socket: string,
  options: ConnectOptions,
  connectionOptions: Parameters<typeof openConnection>[1] = { signal: options.signal },
): Promise<Connection | undefined> {
  try {
    return await openConnection(socket, connectionOptions);
  } catch (error) {
    const code = codeOf(error);
    if (code === "ENOENT" || code === "ECONNREFUSED" || code === "ENOTDIR") return undefined;
    if (code === "DAEMON_STOPPING" || isGone(error)) return undefined; // it ended while we were at its door
    if (socket === systemSocket && (code === "EACCES" || code === "CALLER_NOT_ALLOWED")) return undefined;
    throw describeFailure(error, socket);
  }
}

/** The system's errors of a connect, as ours. */
function describeFailure(error: unknown, socket: string): unknown {
  switch (codeOf(error)) {
    case "ENOENT":
    case "ENOTDIR":
      // The cause names the socket by a descriptor's path, which nobody can do anything with.
      return new ClientError("DAEMON_NOT_FOUND", { socket, reason: "there is no such socket" });
    case "ECONNREFUSED":
      return new ClientError("DAEMON_NOT_FOUND", { socket, reason: "its daemon has ended" });
    case "EACCES":
    case "EPERM":
      return new ClientError("DAEMON_CONNECT_DENIED", { socket }, { cause: error });
    default:
      if (error instanceof Error && "syscall" in error)
        return new ClientError("DAEMON_CONNECT_FAILED", { socket, reason: error.message }, { cause: error });
      return error;
  }
}

function isGone(error: unknown): boolean {
  const code = codeOf(error);
  return code === "DAEMON_GONE" || code === "ECONNRESET" || code === "EPIPE";
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error ? String(error.code) : undefined;
}
