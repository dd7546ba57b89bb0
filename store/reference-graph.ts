/**
 * The resident index: which paths are valid and who refers to whom. SQLite is the truth behind it. References of a path
 * lie together in one array; its referrers are a linked list through the same entries. What refers to a removed path
 * must have been removed before, so an entry only ever goes dead from its referrer's side; dead ones are skipped, and
 * swept out when they are half of all. Nothing here calls itself: a chain of any length does no harm.
 */
import type { StorePath } from "../derivations/store-path.ts";
import { grow, noSlot, PathTable, resized } from "./path-table.ts";

export type Direction = "forward" | "backward";

export class ReferenceGraph {
  #paths: PathTable<StorePath>;
  /** By slot: the row's id in ValidPaths, where its references begin and how many there are, its first referrer's edge + 1. */
  #ids: Uint32Array;
  #edgeStarts: Uint32Array;
  #edgeCounts: Uint32Array;
  #firstReferrers: Uint32Array;
  /** By slot: in which walk it was seen last. */
  #seen: Uint32Array;
  #walk = 0;
  /** By edge: whom it points to, from where, and the next edge + 1 that points to the same. */
  #edgeTo: Uint32Array;
  #edgeFrom: Uint32Array;
  #edgeNext: Uint32Array;
  #edgeCount = 0;

  constructor(expected: { readonly paths: number; readonly references: number } = { paths: 0, references: 0 }) {
    const slots = Math.max(16, expected.paths);
    const edges = Math.max(16, expected.references);
    this.#paths = new PathTable(slots);
    this.#ids = new Uint32Array(slots);
    this.#edgeStarts = new Uint32Array(slots);
    this.#edgeCounts = new Uint32Array(slots);
    this.#firstReferrers = new Uint32Array(slots);
    this.#seen = new Uint32Array(slots);
    this.#edgeTo = new Uint32Array(edges);
    this.#edgeFrom = new Uint32Array(edges);
    this.#edgeNext = new Uint32Array(edges);
  }

  /** The number of valid paths. */
  get size(): number {
    return this.#paths.size;
  }

  get memoryBytes(): number {
    return this.#paths.memoryBytes + this.#ids.byteLength * 5 + this.#edgeTo.byteLength * 3;
  }

  has(path: StorePath): boolean {
    return this.#paths.find(path) !== noSlot;
  }

  /** The row's id in ValidPaths; undefined if the path is not valid. */
  findId(path: StorePath): number | undefined {
    const slot = this.#paths.find(path);
    return slot === noSlot ? undefined : this.#ids[slot];
  }

  findByHashPart(hashPart: string): StorePath | undefined {
    const slot = this.#paths.findByHashPart(hashPart);
    return slot === noSlot ? undefined : this.#paths.get(slot);
  }

  *paths(): Iterable<StorePath> {
    for (let slot = 0; slot < this.#paths.slotCount; ++slot) if (this.#paths.isLive(slot)) yield this.#paths.get(slot);
  }

  /** May contain the path itself; empty if it is not valid. */
  references(path: StorePath): StorePath[] {
    const slot = this.#paths.find(path);
    const found: StorePath[] = [];
    if (slot === noSlot) return found;
    const start = this.#edgeStarts[slot] ?? 0;
    const end = start + (this.#edgeCounts[slot] ?? 0);
    for (let edge = start; edge < end; ++edge) found.push(this.#paths.get(this.#edgeTo[edge] ?? 0));
    return found;
  }

  /** May contain the path itself. */
  referrers(path: StorePath): StorePath[] {
    const slot = this.#paths.find(path);
    const found: StorePath[] = [];
    if (slot === noSlot) return found;
    for (let edge = this.#firstReferrers[slot] ?? 0; edge !== 0; edge = this.#edgeNext[edge - 1] ?? 0) {
      const from = this.#edgeFrom[edge - 1] ?? 0;
      if (this.#paths.isLive(from)) found.push(this.#paths.get(from));
    }
    return found;
  }

  /** A valid path that refers to this one, and is neither this one nor in `except`. */
  findOtherReferrer(path: StorePath, except: ReadonlySet<StorePath> = noPaths): StorePath | undefined {
    const slot = this.#paths.find(path);
    if (slot === noSlot) return undefined;
    for (let edge = this.#firstReferrers[slot] ?? 0; edge !== 0; edge = this.#edgeNext[edge - 1] ?? 0) {
      const from = this.#edgeFrom[edge - 1] ?? 0;
      if (from === slot || !this.#paths.isLive(from)) continue;
      const referrer = this.#paths.get(from);
      if (!except.has(referrer)) return referrer;
    }
    return undefined;
  }

  /**
   * All that can be reached from these paths, over references or over referrers, themselves included; dependencies come
   * first either way. What is not valid is passed over.
   */
  closure(paths: Iterable<StorePath>, direction: Direction): StorePath[] {
    const given: (StorePath | undefined)[] = [];
    const order = this.#walkFrom(paths, direction, given);
    const found = order.map((slot, index) => given[index] ?? this.#paths.get(slot));
    return direction === "backward" ? found.reverse() : found;
  }

  /** The valid ones of these paths, each once, dependencies first. */
  topological(paths: Iterable<StorePath>): StorePath[] {
    const wanted = new Set<number>();
    for (const path of paths) wanted.add(this.#paths.find(path));
    wanted.delete(noSlot);
    const given = [...wanted].map((slot) => this.#paths.get(slot));
    const order = this.#walkFrom(given, "forward").filter((slot) => wanted.has(slot));
    return order.map((slot) => this.#paths.get(slot));
  }

  /** All valid paths that are in no closure of these roots, referrers first. */
  unreachable(roots: Iterable<StorePath>): StorePath[] {
    this.#walkFrom(roots, "forward");
    const aliveWalk = this.#walk;
    const dead: StorePath[] = [];
    const slotCount = this.#paths.slotCount;
    for (let slot = 0; slot < slotCount; ++slot)
      if (this.#paths.isLive(slot) && this.#seen[slot] !== aliveWalk) dead.push(this.#paths.get(slot));
    return this.topological(dead).reverse();
  }

  /**
   * The shortest way from one of the roots to the path: the root first, the path last. Undefined if none keeps it.
   */
  findWay(roots: ReadonlySet<StorePath>, path: StorePath): StorePath[] | undefined {
    if (!this.has(path)) return undefined;
    const next = new Map<StorePath, StorePath | undefined>([[path, undefined]]);
    for (const current of next.keys()) {
      if (roots.has(current)) {
        const way: StorePath[] = [];
        for (let step: StorePath | undefined = current; step !== undefined; step = next.get(step)) way.push(step);
        return way;
      }
      for (const referrer of this.referrers(current)) if (!next.has(referrer)) next.set(referrer, current); // visited later
    }
    return undefined;
  }

  /** The path must not be there, and its references must be, unless one is the path itself. */
  add(id: number, path: StorePath, references: Iterable<StorePath>): void {
    const slot = this.addPath(id, path);
    const targets = new Set<number>();
    for (const reference of references) targets.add(this.#paths.find(reference));
    for (const target of targets) this.addReference(slot, target);
  }

  /** For loading: a path without its references. Returns its slot. */
  addPath(id: number, path: StorePath): number {
    if (id > 0xffffffff) throw new RangeError(`the id ${id} of ${path} has more than 32 bits`);
    const slot = this.#paths.add(path);
    if (slot >= this.#ids.length) this.#growSlots();
    this.#ids[slot] = id;
    this.#edgeStarts[slot] = this.#edgeCount;
    return slot;
  }

  /** For loading: a path's references must be added one after the other, before those of any other path. */
  addReference(from: number, to: number): void {
    if (to === noSlot || !this.#paths.isLive(to))
      throw new Error(`${this.#paths.get(from)} refers to what is not valid`);
    const edge = this.#edgeCount++;
    if (edge >= this.#edgeTo.length) this.#growEdges();
    if (this.#edgeCounts[from] === 0) this.#edgeStarts[from] = edge;
    this.#edgeCounts[from] = (this.#edgeCounts[from] ?? 0) + 1;
    this.#edgeTo[edge] = to;
    this.#edgeFrom[edge] = from;
    this.#edgeNext[edge] = this.#firstReferrers[to] ?? 0;
    this.#firstReferrers[to] = edge + 1;
  }

  /** For loading, while ids were added in ascending order and nothing was removed: the slot of an id, or `noSlot`. */
  findSlotOfId(id: number): number {
    let low = 0;
    let high = this.#paths.slotCount - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const found = this.#ids[middle] ?? 0;
      if (found === id) return middle;
      if (found < id) low = middle + 1;
      else high = middle - 1;
    }
    return noSlot;
  }

  /** What refers to the path must have been removed before. */
  remove(path: StorePath): void {
    const slot = this.#paths.find(path);
    if (slot === noSlot) return;
    this.#paths.remove(slot);
    if (this.#paths.slotCount > 1024 && this.#paths.size * 2 < this.#paths.slotCount) this.#sweep();
  }

  /**
   * Depth first; a slot comes into the order when all that it leads to is there. `given` gets an item for each: the text
   * where the caller has named the path, so that it need not be made again.
   */
  #walkFrom(paths: Iterable<StorePath>, direction: Direction, given?: (StorePath | undefined)[]): number[] {
    const walk = this.#nextWalk();
    const order: number[] = [];
    const slots: number[] = [];
    const cursors: number[] = [];
    const enter = (slot: number) => {
      this.#seen[slot] = walk;
      slots.push(slot);
      cursors.push((direction === "forward" ? this.#edgeStarts[slot] : this.#firstReferrers[slot]) ?? 0);
    };
    for (const path of paths) {
      const start = this.#paths.find(path);
      if (start === noSlot || this.#seen[start] === walk) continue;
      enter(start);
      while (slots.length > 0) {
        const top = slots.length - 1;
        const slot = slots[top] ?? 0;
        const cursor = cursors[top] ?? 0;
        const isAtEnd =
          direction === "forward"
            ? cursor >= (this.#edgeStarts[slot] ?? 0) + (this.#edgeCounts[slot] ?? 0)
            : cursor === 0;
        if (isAtEnd) {
          order.push(slot);
          given?.push(top === 0 ? path : undefined);
          slots.pop();
          cursors.pop();
          continue;
        }
        const edge = direction === "forward" ? cursor : cursor - 1;
        cursors[top] = direction === "forward" ? cursor + 1 : (this.#edgeNext[edge] ?? 0);
        const target = (direction === "forward" ? this.#edgeTo[edge] : this.#edgeFrom[edge]) ?? 0;
        if (this.#seen[target] !== walk && this.#paths.isLive(target)) enter(target);
      }
    }
    return order;
  }

  #nextWalk(): number {
    if (this.#walk === 0xffffffff) {
      this.#seen.fill(0);
      this.#walk = 0;
    }
    return ++this.#walk;
  }

  /** Makes all arrays anew from what is alive. */
  #sweep(): void {
    const old = this.#paths;
    let liveEdges = 0;
    for (let slot = 0; slot < old.slotCount; ++slot) if (old.isLive(slot)) liveEdges += this.#edgeCounts[slot] ?? 0;

    const swept = new ReferenceGraph({ paths: old.size, references: liveEdges });
    const newSlots = new Uint32Array(old.slotCount);
    for (let slot = 0; slot < old.slotCount; ++slot)
      if (old.isLive(slot)) newSlots[slot] = swept.addPath(this.#ids[slot] ?? 0, old.get(slot));
    for (let slot = 0; slot < old.slotCount; ++slot) {
      if (!old.isLive(slot)) continue;
      const start = this.#edgeStarts[slot] ?? 0;
      const end = start + (this.#edgeCounts[slot] ?? 0);
      for (let edge = start; edge < end; ++edge)
        swept.addReference(newSlots[slot] ?? 0, newSlots[this.#edgeTo[edge] ?? 0] ?? 0);
    }
    this.replaceBy(swept);
  }

  /** Takes over what another graph holds, which must not be used any more. */
  replaceBy(other: ReferenceGraph): void {
    this.#paths = other.#paths;
    this.#ids = other.#ids;
    this.#edgeStarts = other.#edgeStarts;
    this.#edgeCounts = other.#edgeCounts;
    this.#firstReferrers = other.#firstReferrers;
    this.#seen = other.#seen;
    this.#walk = other.#walk;
    this.#edgeTo = other.#edgeTo;
    this.#edgeFrom = other.#edgeFrom;
    this.#edgeNext = other.#edgeNext;
    this.#edgeCount = other.#edgeCount;
  }

  #growSlots(): void {
    const longer = (array: Uint32Array) => resized(array, new Uint32Array(grow(array.length)));
    this.#ids = longer(this.#ids);
    this.#edgeStarts = longer(this.#edgeStarts);
    this.#edgeCounts = longer(this.#edgeCounts);
    this.#firstReferrers = longer(this.#firstReferrers);
    this.#seen = longer(this.#seen);
  }

  #growEdges(): void {
    const longer = (array: Uint32Array) => resized(array, new Uint32Array(grow(array.length)));
    this.#edgeTo = longer(this.#edgeTo);
    this.#edgeFrom = longer(this.#edgeFrom);
    this.#edgeNext = longer(this.#edgeNext);
  }
}

const noPaths: ReadonlySet<StorePath> = new Set();
