/**
 * After a crash of the machine: paths that no sync barrier covered are hashed again, in the background and those first
 * that someone waits for. One whose files are not what was registered goes, and all that refers to it.
 */
import { bytesEqual } from "../derivations/bytes.ts";
import type { PathInfo } from "../derivations/path-info.ts";
import type { StorePath } from "../derivations/store-path.ts";

export interface DoubtedPathsOptions {
  readonly findPathInfo: (path: StorePath) => PathInfo | undefined;
  readonly hashTree: (path: StorePath) => Promise<{ readonly narHash: Uint8Array; readonly narSize: bigint }>;
  /** Keeps the collector away from a path while it is hashed. */
  readonly hold: (path: StorePath) => Disposable;
  /** Makes a path and all that refers to it invalid, and removes them. */
  readonly drop: (path: StorePath, reason: string) => Promise<void>;
}

export class DoubtedPaths {
  readonly #options: DoubtedPathsOptions;
  readonly #doubted: Set<StorePath>;
  readonly #checks = new Map<StorePath, Promise<void>>();
  #isStopped = false;
  /** Resolves when none is in doubt any more, or it was stopped; rejects if a damaged path could not be dropped. */
  readonly done: Promise<void>;

  constructor(doubted: Iterable<StorePath>, options: DoubtedPathsOptions) {
    this.#options = options;
    this.#doubted = new Set(doubted);
    this.done = this.#checkAll();
    this.done.catch(() => {}); // whoever awaits it hears of it
  }

  get size(): number {
    return this.#doubted.size;
  }

  /** Resolves when the path is known to be whole, or is not valid any more. At once for one that is in no doubt. */
  whenBelieved(path: StorePath): Promise<void> {
    return this.#doubted.has(path) ? this.#check(path) : believed;
  }

  isDoubted(path: StorePath): boolean {
    return this.#doubted.has(path);
  }

  /** Ends after the path that is being hashed. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.done.catch(() => {});
  }

  async #checkAll(): Promise<void> {
    for (const path of this.#doubted) {
      if (this.#isStopped) return;
      await this.#check(path);
    }
  }

  #check(path: StorePath): Promise<void> {
    const running = this.#checks.get(path);
    if (running !== undefined) return running;
    const check = this.#checkOnce(path).finally(() => this.#checks.delete(path));
    this.#checks.set(path, check);
    return check;
  }

  async #checkOnce(path: StorePath): Promise<void> {
    using _lease = this.#options.hold(path);
    const info = this.#options.findPathInfo(path);
    const problem = info === undefined ? undefined : await this.#findProblem(info);
    if (problem !== undefined) await this.#options.drop(path, problem);
    this.#doubted.delete(path);
  }

  async #findProblem(info: PathInfo): Promise<string | undefined> {
    try {
      const { narHash, narSize } = await this.#options.hashTree(info.path);
      if (bytesEqual(narHash, info.narHash.bytes)) return undefined;
      return `its archive has ${narSize} bytes and not the hash that was registered with ${info.narSize} bytes`;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }
}

const believed = Promise.resolve();
