/**
 * What a service manager tells a daemon that it starts, and wants to hear from it: a socket that listens already
 * (sd_listen_fds(3)), that the daemon is ready, reads its configuration or ends, and that it is alive (sd_notify(3),
 * sd_watchdog_enabled(3)). Without one nothing of this happens.
 */
import { Buffer } from "node:buffer";
import { sendDatagram } from "../../sandbox-native/posix.ts";
import { errorFields, type Logger } from "./logger.ts";

export interface ServiceManagerWords {
  /** A path, or a name in the abstract name space after an `@`. */
  readonly notifySocket?: string;
  /** It wants to hear of us at least this often. */
  readonly watchdogMs?: number;
  /** A socket that listens. */
  readonly listenDescriptor?: number;
}

const firstDescriptor = 3; // SD_LISTEN_FDS_START

/** Words that were meant for another process (they are inherited) do not count. */
export function readServiceManagerWords(environment: NodeJS.ProcessEnv, pid: number): ServiceManagerWords {
  const number = (name: string) => {
    const value = environment[name] ?? "";
    return /^[0-9]{1,15}$/.test(value) ? Number(value) : undefined;
  };
  const notifySocket = environment["NOTIFY_SOCKET"];
  const watchdogMicroseconds = number("WATCHDOG_USEC") ?? 0;
  const watched = (number("WATCHDOG_PID") ?? pid) === pid && watchdogMicroseconds > 0;
  const listens = number("LISTEN_PID") === pid && (number("LISTEN_FDS") ?? 0) > 0;
  return {
    ...(notifySocket !== undefined && /^[/@]./.test(notifySocket) && { notifySocket }),
    ...(watched && { watchdogMs: watchdogMicroseconds / 1000 }),
    ...(listens && { listenDescriptor: firstDescriptor }),
  };
}

export class ServiceManager {
  readonly #words: ServiceManagerWords;
  readonly #log: Logger;
  #watchdog: NodeJS.Timeout | undefined;

  constructor(words: ServiceManagerWords, log: Logger) {
    this.#words = words;
    this.#log = log;
  }

  /** The daemon listens; from now on the watchdog is fed by the event loop, so that a hung one is noticed. */
  ready(status: string): void {
    this.#tell({ READY: "1", STATUS: status });
    const { watchdogMs } = this.#words;
    if (watchdogMs === undefined || this.#words.notifySocket === undefined) return;
    this.#watchdog ??= setInterval(() => this.#tell({ WATCHDOG: "1" }), watchdogMs / 2).unref();
  }

  /** While `read` works, which may throw. */
  reloading<Result>(read: () => Result): Result {
    this.#tell({ RELOADING: "1", MONOTONIC_USEC: String(process.hrtime.bigint() / 1000n) });
    try {
      return read();
    } finally {
      this.#tell({ READY: "1" });
    }
  }

  /** The daemon ends, and may take so long for it. */
  stopping(drainMs: number): void {
    this.#tell({ STOPPING: "1", EXTEND_TIMEOUT_USEC: String((drainMs + endingMs) * 1000) });
  }

  /** The watchdog is fed until the very end: builds may be draining. */
  [Symbol.dispose](): void {
    clearInterval(this.#watchdog);
  }

  #tell(words: Readonly<Record<string, string>>): void {
    const { notifySocket } = this.#words;
    if (notifySocket === undefined) return;
    const name = Buffer.from(notifySocket.startsWith("@") ? `\0${notifySocket.slice(1)}` : notifySocket);
    const text = Object.entries(words).map(([key, value]) => `${key}=${value}\n`);
    try {
      sendDatagram(name, Buffer.from(text.join("")));
    } catch (error) {
      this.#log.warn(errorFields(error), "the service manager was not told");
    }
  }
}

/** Beside what builds may take: to say good-bye and close the store. */
const endingMs = 15_000;
