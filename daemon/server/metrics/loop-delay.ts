/**
 * How late the main thread comes to what is due, less the time in which it wanted to run and had no processor: that is
 * the machine's doing, and not ours. A timer looks every two milliseconds, but only while somebody reads the metrics.
 */
import { closeSync, openSync, readSync } from "node:fs";
import { Distribution } from "../../build/tallies.ts";

/** In milliseconds. */
const interval = 2;
/** Who scrapes does so more often than this. */
const watchedForMs = 10 * 60_000;

/** In seconds. */
const bounds = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1];

export class LoopDelay implements Disposable {
  readonly delays = new Distribution(bounds);
  /** The longest since the watch began, in seconds. */
  longest = 0;
  #timer: NodeJS.Timeout | undefined;
  #schedule: number | undefined;
  #expected = 0;
  #waitedBefore = 0;
  #lastReadAt = 0;

  /** Begins to look, or goes on for ten more minutes. What was counted before a pause stays. */
  watch(): void {
    const now = performance.now();
    this.#lastReadAt = now;
    if (this.#timer !== undefined) return;
    this.#schedule ??= openSchedule();
    this.#waitedBefore = this.#readWaited();
    this.#expected = now + interval;
    this.#timer = setInterval(() => this.#look(), interval);
    this.#timer.unref();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (this.#schedule !== undefined) closeSync(this.#schedule);
    this.#schedule = undefined;
  }

  #look(): void {
    const now = performance.now();
    const waited = this.#readWaited();
    // What it waited before it was due is taken off as well: two milliseconds at the most, for the last look was then.
    const delay = Math.max(0, now - this.#expected - (waited - this.#waitedBefore)) / 1000;
    this.delays.note(delay);
    if (delay > this.longest) this.longest = delay;
    this.#waitedBefore = waited;
    this.#expected = now + interval;
    if (now - this.#lastReadAt > watchedForMs) this[Symbol.dispose]();
  }

  /** In milliseconds since the thread began; 0 where the kernel does not say. */
  #readWaited(): number {
    if (this.#schedule === undefined) return 0;
    const length = readSync(this.#schedule, scratch, 0, scratch.length, 0);
    return Number(scratch.toString("latin1", 0, length).split(" ")[1]) / 1e6;
  }
}

const scratch = Buffer.alloc(128);

/** Source: proc_pid_schedstat(5): nanoseconds on a processor, nanoseconds waiting for one, time slices. */
function openSchedule(): number | undefined {
  try {
    return openSync("/proc/thread-self/schedstat", "r");
  } catch {
    return undefined; // a kernel without it: then the delays hold the waiting too
  }
}
