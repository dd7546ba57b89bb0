/**
 * A closure in memory: who refers to whom, how much each path takes, and how much would go with it. Made from what any
 * `Service` answers; all that follows is arithmetic.
 */
import type { PathInfo } from "../../derivations/path-info.ts";
import type { StorePath } from "../../derivations/store-path.ts";
import type { Cancellable, Service } from "../api/service.ts";
import { findDominators } from "./dominators.ts";

export interface ClosureNode {
  readonly path: StorePath;
  readonly info: PathInfo;
  /** Bytes of its archive. */
  readonly ownBytes: number;
  /** What it refers to, itself left out, sorted. */
  readonly references: readonly StorePath[];
}

/** The closure of these paths. Throws STORE_PATH_NOT_VALID, and what the service throws. */
export async function fetchClosure(
  service: Service,
  roots: readonly StorePath[],
  options: Cancellable = {},
): Promise<ClosureGraph> {
  const paths = await service.queryClosure(roots, "forward", options);
  const infos = await Promise.all(paths.map((path) => service.queryPathInfo(path, options)));
  return new ClosureGraph(
    roots,
    infos.filter((info) => info !== undefined), // collected since we asked
  );
}

export class ClosureGraph {
  readonly roots: readonly StorePath[];
  /** Dependencies first. */
  readonly nodes: ReadonlyMap<StorePath, ClosureNode>;
  readonly #closureBytes = new Map<StorePath, number>();
  #retained: ReadonlyMap<StorePath, number> | undefined;

  /** `infos` are closed over references, dependencies first. */
  constructor(roots: readonly StorePath[], infos: readonly PathInfo[]) {
    const known = new Set(infos.map(({ path }) => path));
    this.roots = roots.filter((root) => known.has(root));
    this.nodes = new Map(
      infos.map((info) => {
        const references = [...info.references].filter((reference) => reference !== info.path && known.has(reference));
        return [info.path, { path: info.path, info, ownBytes: Number(info.narSize), references: references.sort() }];
      }),
    );
  }

  /** Bytes of all. */
  get bytes(): number {
    return sumOf([...this.nodes.values()].map(({ ownBytes }) => ownBytes));
  }

  node(path: StorePath): ClosureNode {
    const node = this.nodes.get(path);
    if (node === undefined) throw new Error(`${path} is not in this closure`);
    return node;
  }

  /** A path and all that it refers to, itself first. */
  closureOf(path: StorePath): readonly StorePath[] {
    const seen = new Set([path]);
    for (const at of seen) for (const reference of this.node(at).references) seen.add(reference);
    return [...seen];
  }

  closureBytes(path: StorePath): number {
    let bytes = this.#closureBytes.get(path);
    if (bytes === undefined) {
      bytes = sumOf(this.closureOf(path).map((at) => this.node(at).ownBytes));
      this.#closureBytes.set(path, bytes);
    }
    return bytes;
  }

  /**
   * What this closure would be smaller by without the path: it, and what only it leads to. A root's is all that no other
   * root leads to.
   */
  retainedBytes(path: StorePath): number {
    this.#retained ??= this.#computeRetained();
    return this.#retained.get(path) ?? 0;
  }

  /** The fewest steps from one path to another, both named; undefined if none lead there. */
  shortestChain(from: StorePath, to: StorePath): readonly StorePath[] | undefined {
    const cameFrom = new Map<StorePath, StorePath | undefined>([[from, undefined]]);
    for (const at of cameFrom.keys()) {
      if (at === to) break;
      for (const reference of this.node(at).references) if (!cameFrom.has(reference)) cameFrom.set(reference, at);
    }
    if (!cameFrom.has(to)) return undefined;
    const chain: StorePath[] = [];
    for (let at: StorePath | undefined = to; at !== undefined; at = cameFrom.get(at)) chain.unshift(at);
    return chain;
  }

  #computeRetained(): ReadonlyMap<StorePath, number> {
    const paths = [...this.nodes.keys()];
    const indexOf = new Map(paths.map((path, index) => [path, index]));
    const successors = [...this.nodes.values()].map(({ references }) =>
      references.map((reference) => indexOf.get(reference) as number),
    );
    const { dominators, order } = findDominators(
      successors,
      this.roots.map((root) => indexOf.get(root) as number),
    );
    const retained = paths.map((path) => this.node(path).ownBytes);
    for (const index of order.toReversed()) {
      const above = dominators[index];
      if (above !== undefined && above >= 0) retained[above] = (retained[above] ?? 0) + (retained[index] ?? 0);
    }
    return new Map(paths.map((path, index) => [path, retained[index] ?? 0]));
  }
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0);
}
