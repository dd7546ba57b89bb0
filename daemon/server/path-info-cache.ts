/**
 * What was asked for lately, so that it need not be read from the database and parsed again: that is two thirds of what
 * an answer costs here. An info belongs to one registration of its path, which the row's id names: ids are never used
 * again, so one that was collected and registered anew is not mistaken for the old one.
 */
import type { PathInfo } from "../../derivations/path-info.ts";
import type { StorePath } from "../../derivations/store-path.ts";
import type { Store } from "../../store/store.ts";

/** Some 1 KiB each. */
const limit = 4096;

export class PathInfoCache {
  readonly #store: Store;
  /** The oldest first. */
  readonly #known = new Map<StorePath, { readonly id: number; readonly info: PathInfo }>();

  constructor(store: Store) {
    this.#store = store;
  }

  find(path: StorePath): PathInfo | undefined {
    const id = this.#store.graph.findId(path);
    if (id === undefined) return undefined;
    const known = this.#known.get(path);
    if (known?.id === id) return known.info;

    const info = this.#store.findPathInfo(path);
    if (info !== undefined) this.#keep(path, id, info);
    return info;
  }

  #keep(path: StorePath, id: number, info: PathInfo): void {
    this.#known.delete(path);
    this.#known.set(path, { id, info });
    if (this.#known.size <= limit) return;
    for (const oldest of this.#known.keys()) {
      this.#known.delete(oldest);
      return;
    }
  }
}
