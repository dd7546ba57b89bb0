/**
 * Gives back what memory a busy time has left behind. Node collects when its heap wants to grow, and the allocator keeps
 * what was freed between what was not: a daemon that has served a hundred clients would hold their buffers for days.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { releaseFreeMemory } from "../../sandbox-native/posix.ts";

/** How long nothing was asked before memory is given back, in milliseconds. */
const quietMs = 10_000;

export class SpareMemory {
  readonly #quietMs: number;
  #asked = 0;
  #timer: NodeJS.Timeout | undefined;
  #collect: (() => void) | undefined;

  constructor(options: { readonly quietMs?: number } = {}) {
    this.#quietMs = options.quietMs ?? quietMs;
  }

  /** Something was asked and answered. Costs next to nothing; one timer runs while there is something to give back. */
  note(): void {
    this.#asked += 1;
    this.#timer ??= this.#wait();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #wait(): NodeJS.Timeout {
    const before = this.#asked;
    return setTimeout(() => {
      this.#timer = undefined;
      if (this.#asked !== before) this.#timer = this.#wait();
      else this.#giveBack();
    }, this.#quietMs).unref();
  }

  #giveBack(): void {
    this.#collect ??= findCollector();
    this.#collect();
    void releaseFreeMemory();
  }
}

/** V8 gives its collector to contexts that are made after this flag. Source: Node's documentation of v8.setFlagsFromString. */
function findCollector(): () => void {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  setFlagsFromString("--no-expose-gc");
  return collect;
}
