/** Asks the checkpoint thread for durable commits; starts it when the first is asked for. */
import { Worker } from "node:worker_threads";
import type { CheckpointAnswer, CheckpointRequest } from "./checkpoint-worker.ts";
import { StoreError } from "./errors.ts";

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

const idleMs = 30_000;

export class Checkpoints implements AsyncDisposable {
  readonly #files: readonly string[];
  readonly #waiting = new Map<number, Waiter>();
  #worker: Worker | undefined;
  #nextId = 1;
  #idle: NodeJS.Timeout | undefined;

  /** The database files. */
  constructor(files: readonly string[]) {
    this.#files = files;
  }

  /** Resolves when all that was committed before the call is on disk. Throws STORE_DATABASE_UNUSABLE, STORE_DISK_FULL. */
  makeDurable(): Promise<void> {
    clearTimeout(this.#idle);
    this.#worker ??= this.#start();
    const request: CheckpointRequest = { id: this.#nextId++ };
    return new Promise((resolve, reject) => {
      this.#waiting.set(request.id, { resolve, reject });
      this.#worker?.ref(); // a process does not end while one waits
      this.#worker?.postMessage(request);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#idle);
    await this.#worker?.terminate();
  }

  #start(): Worker {
    const extension = import.meta.url.endsWith(".ts") ? "ts" : "js"; // the source is run as it is, too
    const worker = new Worker(new URL(`./checkpoint-worker.${extension}`, import.meta.url), {
      workerData: { files: this.#files },
      resourceLimits: { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 32 },
      execArgv: [],
    });
    worker.on("message", ({ id, error }: CheckpointAnswer) => {
      const waiter = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (this.#waiting.size === 0) this.#rest(worker);
      if (error === undefined) waiter?.resolve();
      else waiter?.reject(this.#failure(error.message, error.code));
    });
    worker.on("error", (error) => this.#end(worker, error.message));
    worker.on("exit", () => this.#end(worker, "its checkpoint thread has ended"));
    worker.unref();
    return worker;
  }

  /** A thread holds some 16 MiB: one that nobody has asked for a while is ended. */
  #rest(worker: Worker): void {
    worker.unref();
    this.#idle = setTimeout(() => {
      if (this.#worker === worker) this.#worker = undefined;
      void worker.terminate();
    }, idleMs).unref();
  }

  /** The next request starts another one. */
  #end(worker: Worker, reason: string): void {
    if (this.#worker === worker) this.#worker = undefined;
    for (const waiter of this.#waiting.values()) waiter.reject(this.#failure(reason, ""));
    this.#waiting.clear();
  }

  #failure(reason: string, code: string): unknown {
    const file = this.#files.join(" and ");
    if (code === "ENOSPC" || code === "SQLITE_FULL")
      return new StoreError("STORE_DISK_FULL", { directory: file, doing: "a checkpoint" });
    return new StoreError("STORE_DATABASE_UNUSABLE", { file, reason });
  }
}
