/**
 * Store paths by number and numbers by store path, in few bytes: all names in one array of bytes, found by an open hash
 * table over the hash part, which is random enough to be its own hash. A number is never used for another path.
 */
import { Buffer } from "node:buffer";

export const noSlot = -1;

export class PathTable<Path extends string> {
  #text: Buffer;
  #textUsed = 0;
  #offsets: Uint32Array;
  /** 0: removed. A store path has at most 244 bytes. */
  #lengths: Uint8Array;
  #slotCount = 0;
  #liveCount = 0;
  /** Slot + 1; 0 is empty. Removed slots stay until the table is made anew. */
  #buckets: Uint32Array;

  /** `expected`: of how many paths there will be at least. */
  constructor(expected: number) {
    const capacity = Math.max(16, expected);
    this.#text = Buffer.alloc(capacity * 56);
    this.#offsets = new Uint32Array(capacity);
    this.#lengths = new Uint8Array(capacity);
    this.#buckets = new Uint32Array(bucketCountFor(capacity));
  }

  /** Of the paths that are there. */
  get size(): number {
    return this.#liveCount;
  }

  /** One more than the highest number given, removed ones included. */
  get slotCount(): number {
    return this.#slotCount;
  }

  get memoryBytes(): number {
    return this.#text.length + this.#offsets.byteLength + this.#lengths.byteLength + this.#buckets.byteLength;
  }

  /** The path must not be there yet. Returns its number. */
  add(path: Path): number {
    const slot = this.#slotCount++;
    this.#reserve(path.length);
    this.#text.write(path, this.#textUsed, "latin1");
    this.#offsets[slot] = this.#textUsed;
    this.#lengths[slot] = path.length;
    this.#textUsed += path.length;
    this.#liveCount++;
    this.#enter(slot, hashOf(path));
    return slot;
  }

  remove(slot: number): void {
    if (this.#lengths[slot] === 0) return;
    this.#lengths[slot] = 0;
    this.#liveCount--;
  }

  /** The path's number, or `noSlot`. */
  find(path: string): number {
    const mask = this.#buckets.length - 1;
    for (let bucket = hashOf(path) & mask; ; bucket = (bucket + 1) & mask) {
      const slot = (this.#buckets[bucket] ?? 0) - 1;
      if (slot < 0) return noSlot;
      if (this.#lengths[slot] === path.length && this.#startsWith(slot, path)) return slot;
    }
  }

  /** The number of a path that begins with these 32 digits, or `noSlot`. */
  findByHashPart(hashPart: string): number {
    const mask = this.#buckets.length - 1;
    for (let bucket = hashOf(hashPart) & mask; ; bucket = (bucket + 1) & mask) {
      const slot = (this.#buckets[bucket] ?? 0) - 1;
      if (slot < 0) return noSlot;
      if ((this.#lengths[slot] ?? 0) > hashPart.length && this.#startsWith(slot, hashPart)) return slot;
    }
  }

  isLive(slot: number): boolean {
    return this.#lengths[slot] !== 0;
  }

  /** The path of a number that is there. */
  get(slot: number): Path {
    const offset = this.#offsets[slot] ?? 0;
    return this.#text.toString("latin1", offset, offset + (this.#lengths[slot] ?? 0)) as Path; // only a Path was put in
  }

  #startsWith(slot: number, text: string): boolean {
    const offset = this.#offsets[slot] ?? 0;
    for (let index = text.length - 1; index >= 0; --index)
      if (this.#text[offset + index] !== text.charCodeAt(index)) return false;
    return true;
  }

  #reserve(textLength: number): void {
    if (this.#textUsed + textLength > this.#text.length) {
      const grown = Buffer.alloc(Math.max(this.#textUsed + textLength, grow(this.#text.length)));
      this.#text.copy(grown, 0, 0, this.#textUsed);
      this.#text = grown;
    }
    if (this.#slotCount > this.#offsets.length) {
      const capacity = grow(this.#offsets.length);
      this.#offsets = resized(this.#offsets, new Uint32Array(capacity));
      this.#lengths = resized(this.#lengths, new Uint8Array(capacity));
    }
    if (bucketCountFor(this.#slotCount) > this.#buckets.length) {
      this.#buckets = new Uint32Array(this.#buckets.length * 2);
      for (let slot = 0; slot < this.#slotCount - 1; ++slot)
        if (this.isLive(slot)) this.#enter(slot, hashOf(this.get(slot)));
    }
  }

  #enter(slot: number, hash: number): void {
    const mask = this.#buckets.length - 1;
    let bucket = hash & mask;
    while (this.#buckets[bucket] !== 0) bucket = (bucket + 1) & mask;
    this.#buckets[bucket] = slot + 1;
  }
}

/** Room for a quarter more: what is reserved and not used counts as memory too. */
export function grow(capacity: number): number {
  return capacity + Math.max(16, capacity >> 2);
}

export function resized<Numbers extends Uint32Array | Uint8Array>(from: Numbers, into: Numbers): Numbers {
  into.set(from.subarray(0, Math.min(from.length, into.length)));
  return into;
}

/** At most 4 of 5 buckets are used. */
function bucketCountFor(slots: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(16, slots * 1.25)));
}

function hashOf(path: string): number {
  let hash = 0;
  const length = Math.min(path.length, 12); // 60 bits of the hash part
  for (let index = 0; index < length; ++index) hash = (Math.imul(hash, 31) + path.charCodeAt(index)) | 0;
  return (hash ^ (hash >>> 15)) >>> 0;
}
