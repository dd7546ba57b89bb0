/**
 * What the daemon measures. Until somebody asks, it costs some additions a build: the library that prints it is not
 * loaded, no timer runs, and no directory is looked at.
 */
import { readdirSync } from "node:fs";
import { stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import { ownFile, pathsFile } from "../../../store/database.ts";
import type { Store } from "../../../store/store.ts";
import type { Scheduler } from "../../scheduler/scheduler.ts";
import { LoopDelay } from "./loop-delay.ts";
import type { MetricSource } from "./registry.ts";

export interface Measured {
  readonly store: Store;
  readonly scheduler: Scheduler;
  readonly startedAtMs: number;
  readonly countConnections: () => number;
}

/** What must be waited for before a scrape is printed. */
interface Sizes {
  readonly narBytes: number;
  readonly databaseBytes: number;
  readonly freeBytes: number;
  readonly freeInodes: number;
  /** Undefined while they are counted for the first time. */
  readonly logs: { readonly files: number; readonly bytes: number } | undefined;
}

/** How long the first scrape waits for the logs to be counted. */
const logsWithinMs = 2000;

export class Metrics implements Disposable {
  readonly #measured: Measured;
  readonly #delay = new LoopDelay();
  #registry: Promise<{ metrics(): Promise<string> }> | undefined;
  #sizes: Sizes | undefined;
  #reading: Promise<string> | undefined;

  constructor(measured: Measured) {
    this.#measured = measured;
  }

  /** In the text form of Prometheus. Those who ask at the same time get the same answer. */
  read(): Promise<string> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  [Symbol.dispose](): void {
    this.#delay[Symbol.dispose]();
  }

  async #read(): Promise<string> {
    this.#delay.watch();
    this.#registry ??= import("./registry.ts").then(({ makeRegistry }) => makeRegistry(this.#sources()));
    const registry = await this.#registry;
    this.#sizes = await readSizes(this.#measured.store);
    return registry.metrics();
  }

  #sources(): MetricSource[] {
    const { scheduler, store, startedAtMs, countConnections } = this.#measured;
    const { tallies } = scheduler;
    const sizes = (read: (sizes: Sizes) => number | undefined) => () => this.#sizes && read(this.#sizes);
    return [
      labelled("builds_total", "Builds that ended, by result.", "result", () => ({ ...tallies.results })),
      gauge("builds_running", "Builds that run now.", () => scheduler.running),
      gauge("builds_waiting", "Builds that are asked for and do not run yet.", () => scheduler.waiting),
      times("build_waiting_seconds", "From asking for a build to its start.", () => tallies.waiting),
      times("build_jail_seconds", "Making a build's jail.", () => tallies.parts.jail),
      times(
        "build_builder_seconds",
        "From a builder's start to the end of its last process.",
        () => tallies.parts.builder,
      ),
      times(
        "build_seal_seconds",
        "Sealing a build's outputs and moving them into the store.",
        () => tallies.parts.seal,
      ),
      gauge("connections", "Clients that are connected.", countConnections),
      gauge("store_paths", "Valid paths.", () => store.graph.size),
      gauge(
        "store_nar_bytes",
        "What valid paths hold, as archives.",
        sizes(({ narBytes }) => narBytes),
      ),
      gauge(
        "store_free_bytes",
        "Free on the store's file system.",
        sizes(({ freeBytes }) => freeBytes),
      ),
      gauge(
        "store_free_inodes",
        "Free inodes there.",
        sizes(({ freeInodes }) => freeInodes),
      ),
      gauge(
        "database_bytes",
        "The databases with their journals.",
        sizes(({ databaseBytes }) => databaseBytes),
      ),
      gauge(
        "log_files",
        "Logs of builds.",
        sizes(({ logs }) => logs?.files),
      ),
      gauge(
        "log_bytes",
        "What they take, compressed.",
        sizes(({ logs }) => logs?.bytes),
      ),
      times(
        "event_loop_delay_seconds",
        "How late the daemon's main thread came to what was due, less its waiting for a processor.",
        () => this.#delay.delays,
      ),
      gauge("event_loop_delay_longest_seconds", "The longest of these.", () => this.#delay.longest),
      ...processSources(startedAtMs),
    ];
  }
}

function gauge(name: string, help: string, read: () => number | undefined): MetricSource {
  return { name: `cloister_${name}`, help, value: { kind: "gauge", read } };
}

function labelled(name: string, help: string, label: string, read: () => Record<string, number>): MetricSource {
  return { name: `cloister_${name}`, help, value: { kind: "counter", label, read } };
}

function times(
  name: string,
  help: string,
  read: Extract<MetricSource["value"], { readonly kind: "distribution" }>["read"],
): MetricSource {
  return { name: `cloister_${name}`, help, value: { kind: "distribution", read } };
}

/** Names and meanings that every Prometheus exporter has. Source: Prometheus, "Writing client libraries", process metrics. */
function processSources(startedAtMs: number): MetricSource[] {
  const cpuSeconds = () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  };
  return [
    {
      name: "process_cpu_seconds_total",
      help: "Processor time of the daemon, without its launcher and builds.",
      value: { kind: "counter", read: cpuSeconds },
    },
    {
      name: "process_resident_memory_bytes",
      help: "Memory of the daemon.",
      value: { kind: "gauge", read: () => process.memoryUsage.rss() },
    },
    {
      name: "process_open_fds",
      help: "Its open descriptors.",
      value: { kind: "gauge", read: () => readdirSync("/proc/self/fd").length - 1 },
    },
    {
      name: "process_start_time_seconds",
      help: "When it started, in seconds since 1970.",
      value: { kind: "gauge", read: () => startedAtMs / 1000 },
    },
  ];
}

async function readSizes(store: Store): Promise<Sizes> {
  const { layout } = store;
  const files = [pathsFile, ownFile].flatMap((name) => [name, `${name}-wal`]);
  const [narBytes, disk, logs, ...database] = await Promise.all([
    store.size.narBytes(),
    statfs(layout.realStoreDirectory),
    within(logsWithinMs, store.logs.size.read()),
    ...files.map((name) =>
      stat(join(layout.databaseDirectory, name)).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  ]);
  const databaseBytes = database.reduce((sum, size) => sum + size, 0);
  return { narBytes, logs, databaseBytes, freeBytes: disk.bavail * disk.bsize, freeInodes: disk.ffree };
}

async function within<Value>(milliseconds: number, promise: Promise<Value>): Promise<Value | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
