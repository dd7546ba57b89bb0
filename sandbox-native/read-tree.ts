/**
 * Reads trees as archives, hashes and listings, in this process and off its main thread. Trees are named by paths of this
 * machine: what leads to the top is resolved as usual, the top itself and all below it are never followed.
 * Throws TREE_SYSTEM_CALL, TREE_SPECIAL_FILE, TREE_TOO_DEEP, TREE_CHANGED; each names the place below the top.
 */
import { Buffer } from "node:buffer";
import { close, read } from "node:fs";
import { promisify } from "node:util";
import { loadBinding } from "./binding.ts";
import { errorOf } from "./errors.ts";

const readAsync = promisify(read);
const closeAsync = promisify(close);

/** Big enough that the way to the other thread does not count, small enough that the memory is used again. */
const pieceBytes = 256 * 1024;

export interface ReadOptions {
  readonly signal?: AbortSignal | undefined;
}

/** The archive (NAR) of a file, directory or symbolic link. Nothing runs ahead of the reader; each piece is the reader's. */
export async function* dumpTree(path: string, options: ReadOptions = {}): AsyncGenerator<Uint8Array, void, undefined> {
  const binding = loadBinding();
  try {
    const dump = binding.openDump(Buffer.from(path));
    for (;;) {
      options.signal?.throwIfAborted();
      const buffer = Buffer.allocUnsafeSlow(pieceBytes);
      const size = await binding.fillFromDump(dump, buffer);
      if (size > 0) yield buffer.subarray(0, size);
      if (size < pieceBytes) return;
    }
  } catch (error) {
    throw errorOf(error);
  }
}

/** SHA-256 and size of the archive. */
export async function hashTree(path: string): Promise<{ narHash: Uint8Array; narSize: bigint }> {
  try {
    return await loadBinding().hashTree(Buffer.from(path));
  } catch (error) {
    throw errorOf(error);
  }
}

/** What a tree holds, without the contents of its files. */
export type TreeListing =
  | {
      readonly type: "regular";
      /** In bytes. */
      readonly size: number;
      readonly executable?: true;
      /** Where the contents begin in the archive, in bytes. */
      readonly narOffset: number;
    }
  | { readonly type: "symlink"; readonly target: string }
  | { readonly type: "directory"; readonly entries: Readonly<Record<string, TreeListing>> };

/** The listing of a tree. Names and targets that are not UTF-8 have `\xHH` for each byte past ASCII. */
export async function listTree(path: string): Promise<TreeListing> {
  try {
    return unpackListing(await loadBinding().listTree(Buffer.from(path)));
  } catch (error) {
    throw errorOf(error);
  }
}

/**
 * The contents of one regular file of a tree; `inside` is "" for a tree that is the file itself, else such as "bin/hello".
 * Throws TREE_NOT_A_FILE too; TREE_SYSTEM_CALL with ELOOP for a symbolic link on the way, with EXDEV for a way out of the tree.
 */
export async function* readFileBelow(
  path: string,
  inside: string,
  options: ReadOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  let fd: number;
  try {
    fd = await loadBinding().openFileBelow(Buffer.from(path), Buffer.from(inside));
  } catch (error) {
    throw errorOf(error);
  }
  try {
    for (;;) {
      options.signal?.throwIfAborted();
      const { bytesRead, buffer } = await readAsync(fd, Buffer.allocUnsafeSlow(pieceBytes), 0, pieceBytes, null);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await closeAsync(fd);
  }
}

/** From the packed form of src/tree/list.h, without recursion: a tree may be as deep as it likes. */
function unpackListing(packed: Buffer): TreeListing {
  const reader = new PackedReader(packed);
  let root: TreeListing | undefined;
  const directories: Record<string, TreeListing>[] = [];
  while (!reader.isAtEnd) {
    const kind = reader.readKind();
    if (kind === "e") {
      directories.pop();
      continue;
    }
    const name = reader.readName();
    const listing = reader.readListing(kind);
    const directory = directories.at(-1);
    if (directory === undefined) root = listing;
    else directory[name] = listing;
    if (listing.type === "directory") directories.push(listing.entries as Record<string, TreeListing>);
  }
  return root as TreeListing; // the native part fails rather than giving no top
}

class PackedReader {
  readonly #packed: Buffer;
  #position = 0;

  constructor(packed: Buffer) {
    this.#packed = packed;
  }

  get isAtEnd(): boolean {
    return this.#position === this.#packed.length;
  }

  readKind(): string {
    return String.fromCharCode(this.#packed[this.#position++] ?? 0);
  }

  readName(): string {
    const size = this.#packed.readUInt32LE(this.#position);
    const start = this.#position + 4;
    this.#position = start + size;
    return nameForJson(this.#packed.subarray(start, start + size));
  }

  readListing(kind: string): TreeListing {
    if (kind === "d") return { type: "directory", entries: Object.create(null) as Record<string, TreeListing> };
    if (kind === "l") return { type: "symlink", target: this.readName() };
    const size = this.#readU64();
    const narOffset = this.#readU64();
    return { type: "regular", size, ...(kind === "x" ? { executable: true } : {}), narOffset };
  }

  #readU64(): number {
    const value = this.#packed.readBigUInt64LE(this.#position);
    this.#position += 8;
    return Number(value);
  }
}

/** A file name as text; JSON has no bytes. The same as in the listings of archives (derivations/nar/listing.ts). */
function nameForJson(name: Buffer): string {
  const shown = name.toString();
  if (Buffer.from(shown).equals(name)) return shown;
  return name.toString("latin1").replace(/[\x80-\xff]/g, (character) => `\\x${character.charCodeAt(0).toString(16)}`);
}
