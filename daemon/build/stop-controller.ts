import type { StopSignal } from "../../sandbox-native/launcher.ts";

/** As an AbortController and its signal in one, for the work that is done most often: those cost as much as a small message. */
export class StopController implements StopSignal {
  #listeners: (() => void)[] = [];
  aborted = false;

  /** Tells the listeners, once. */
  abort(): void {
    if (this.aborted) return;
    this.aborted = true;
    const listeners = this.#listeners;
    this.#listeners = [];
    for (const listener of listeners) listener();
  }

  addEventListener(_type: "abort", listener: () => void): void {
    if (!this.aborted) this.#listeners.push(listener);
  }

  removeEventListener(_type: "abort", listener: () => void): void {
    const index = this.#listeners.indexOf(listener);
    if (index >= 0) this.#listeners.splice(index, 1);
  }
}
