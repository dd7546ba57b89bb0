/**
 * The events of one running build, for all who want it: who comes late gets them from the beginning, out of memory or,
 * where the log is long, out of its file, and then the rest as it comes.
 */
import type { BuildEvent } from "../api/events.ts";

/** What it returns is waited for while the past is told. */
export type Listener = (event: BuildEvent) => unknown;

/** Reads a log from its beginning until its build ends. */
export type ReadLog = (recordId: string) => AsyncIterable<Uint8Array>;

/** How much of a log is kept in memory for those who come late, in bytes. */
const keptBytes = 1024 * 1024;

export class GoalEvents {
  readonly #readLog: ReadLog;
  /** A listener that is still being told of the past has a queue of what has come since. */
  readonly #listeners = new Map<Listener, BuildEvent[] | undefined>();
  #started: (BuildEvent & { kind: "build-started" }) | undefined;
  #log: (BuildEvent & { kind: "build-log" })[] = [];
  #logBytes = 0;

  constructor(readLog: ReadLog) {
    this.#readLog = readLog;
  }

  /** Of the build, once it has started. */
  get recordId(): string | undefined {
    return this.#started?.recordId;
  }

  emit(event: BuildEvent): void {
    if (event.kind === "build-started") {
      this.#started = event;
      this.#log = []; // a check starts builds one after the other: who comes late is told of the last one
      this.#logBytes = 0;
    }
    if (event.kind === "build-log") {
      this.#logBytes += event.bytes.length;
      if (this.#logBytes <= keptBytes) this.#log.push(event);
      else this.#log = []; // it is in the file
    }
    for (const [listener, queue] of this.#listeners) {
      if (queue === undefined) listener(event);
      else if (event.kind !== "build-log") queue.push(event);
    }
  }

  /** Resolves when the listener has been told of all that was before it came; undefined if it has been already. */
  join(listener: Listener): Promise<void> | undefined {
    if (this.#started !== undefined) listener(this.#started);
    if (this.#logBytes > keptBytes) return this.#catchUp(listener);
    for (const event of this.#log) listener(event);
    this.#listeners.set(listener, undefined);
    return undefined;
  }

  leave(listener: Listener): void {
    this.#listeners.delete(listener);
  }

  /**
   * The log is told out of its file until all that has been written is told; meanwhile what else happens waits, and of
   * the log nothing does: a listener that takes it slowly costs no memory.
   */
  async #catchUp(listener: Listener): Promise<void> {
    const queue: BuildEvent[] = [];
    this.#listeners.set(listener, queue);
    try {
      for (let told: unknown; told !== this.#started; ) {
        told = this.#started;
        await this.#replay(listener);
        if (!this.#listeners.has(listener)) return;
        for (const event of queue.splice(0)) listener(event); // of a check's next round too
      }
    } finally {
      if (this.#listeners.has(listener)) this.#listeners.set(listener, undefined);
    }
  }

  async #replay(listener: Listener): Promise<void> {
    if (this.#started === undefined) return;
    const { drvPath, name, recordId } = this.#started;
    let told = 0;
    for await (const bytes of this.#readLog(recordId)) {
      if (!this.#listeners.has(listener)) return;
      await listener({ kind: "build-log", drvPath, name, bytes });
      told += bytes.length;
      if (this.recordId === recordId && told >= this.#logBytes) return; // what comes now is told as it comes
    }
  }
}
