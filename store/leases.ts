/**
 * Paths in use: held in memory by an owner, such as a connection, a detached request or a running build, and alive as
 * long as it holds them. Hold first, then look whether the path is valid: the collector may be running.
 */
import type { StorePath } from "../derivations/store-path.ts";

export class Leases {
  readonly #byOwner = new Map<string, Map<StorePath, number>>();
  readonly #holders = new Map<StorePath, number>();
  readonly #watchers = new Set<(path: StorePath) => void>();

  /**
   * The owner holds the paths until what is returned is disposed, or all that it holds is released. Holds are counted:
   * a path held twice has to be given back twice.
   */
  hold(owner: string, paths: Iterable<StorePath>): Disposable {
    const held = [...paths];
    let isHeld = this.take(owner, held);
    const counts = this.#byOwner.get(owner);
    return {
      [Symbol.dispose]: () => {
        if (!isHeld || counts === undefined || this.#byOwner.get(owner) !== counts) return; // all of the owner's was given back
        isHeld = false;
        for (const path of held) this.#giveBack(owner, counts, path);
      },
    };
  }

  /** As `hold`, for who gives back all that the owner holds at once. False if there was nothing to hold. */
  take(owner: string, paths: readonly StorePath[]): boolean {
    if (paths.length === 0) return false;
    let counts = this.#byOwner.get(owner);
    if (counts === undefined) {
      counts = new Map();
      this.#byOwner.set(owner, counts);
    }
    for (const path of paths) {
      counts.set(path, (counts.get(path) ?? 0) + 1);
      this.#holders.set(path, (this.#holders.get(path) ?? 0) + 1);
      if (this.#watchers.size > 0) for (const watcher of this.#watchers) watcher(path);
    }
    return true;
  }

  /** Gives back all that the owner holds. */
  release(owner: string): void {
    const counts = this.#byOwner.get(owner);
    this.#byOwner.delete(owner);
    for (const [path, count] of counts ?? []) this.#lower(path, count);
  }

  isHeld(path: StorePath): boolean {
    return this.#holders.has(path);
  }

  paths(): Iterable<StorePath> {
    return this.#holders.keys();
  }

  *entries(): Iterable<{ readonly owner: string; readonly path: StorePath }> {
    for (const [owner, counts] of this.#byOwner) for (const path of counts.keys()) yield { owner, path };
  }

  /** Tells of each hold that is taken from now on, on the same call stack as `hold`. */
  watch(watcher: (path: StorePath) => void): Disposable {
    this.#watchers.add(watcher);
    return { [Symbol.dispose]: () => void this.#watchers.delete(watcher) };
  }

  #giveBack(owner: string, counts: Map<StorePath, number>, path: StorePath): void {
    const count = counts.get(path) ?? 0;
    if (count > 1) counts.set(path, count - 1);
    else counts.delete(path);
    if (counts.size === 0) this.#byOwner.delete(owner);
    this.#lower(path, 1);
  }

  #lower(path: StorePath, by: number): void {
    const count = (this.#holders.get(path) ?? 0) - by;
    if (count > 0) this.#holders.set(path, count);
    else this.#holders.delete(path);
  }
}
