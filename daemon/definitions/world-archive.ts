/** The NAR of a selection of host files, streamed from where they lie: no copy of the tree is made. */
import { closeSync, constants, openSync, readSync } from "node:fs";
import { NarEncoder } from "../../derivations/nar/encoder.ts";
import type { NarEvent } from "../../derivations/nar/grammar.ts";
import { DefinitionError } from "./errors.ts";
import type { HostEntry, HostTree } from "./host-tree.ts";

const pieceBytes = 256 * 1024;

/**
 * Gives pieces of about 256 KiB, none empty; lets other work of this process go on between them.
 * Throws WORLD_CHANGED if a file is not as long as when it was selected, WORLD_PATH_UNUSABLE if it cannot be read.
 */
export async function* archiveHostTree(
  tree: HostTree,
  options: { readonly signal?: AbortSignal } = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const encoder = new NarEncoder();
  let small: Uint8Array[] = [];
  let smallBytes = 0;
  for (const event of listEvents(makeNode(tree))) {
    for (const chunk of encoder.push(event)) {
      small.push(chunk);
      smallBytes += chunk.length;
      if (smallBytes < pieceBytes) continue;
      options.signal?.throwIfAborted();
      yield Buffer.concat(small, smallBytes);
      small = [];
      smallBytes = 0;
      await new Promise(setImmediate);
    }
  }
  encoder.end();
  if (smallBytes > 0) yield Buffer.concat(small, smallBytes);
}

interface Node {
  readonly name: Uint8Array;
  /** A directory unless told otherwise. */
  entry?: HostEntry;
  readonly inner: Map<string, Node>;
}

function makeNode(tree: HostTree): Node {
  const root: Node = { name: new Uint8Array(0), inner: new Map() };
  for (const entry of tree.entries.values()) {
    let node = root;
    for (const name of entry.path.slice(1).split("/")) {
      const inner: Node = node.inner.get(name) ?? { name: Buffer.from(name), inner: new Map() };
      node.inner.set(name, inner);
      node = inner;
    }
    node.entry = entry;
  }
  return root;
}

/** Depth is bounded by the host's own path length, so recursion is safe here. */
function* listEvents(node: Node): Generator<NarEvent, void, undefined> {
  const { entry } = node;
  switch (entry?.kind) {
    case "symlink":
      yield { kind: "symlink", target: Buffer.from(entry.target) };
      return;
    case "empty-file":
      yield { kind: "file", executable: false, size: 0n };
      return;
    case "file":
      yield { kind: "file", executable: entry.executable, size: BigInt(entry.size) };
      yield* readContents(entry.path, entry.size);
      return;
    case "directory":
    case undefined:
      yield { kind: "directory" };
      for (const inner of [...node.inner.values()].sort((left, right) => Buffer.compare(left.name, right.name))) {
        yield { kind: "entry", name: inner.name };
        yield* listEvents(inner);
      }
      yield { kind: "end" };
      return;
    default:
      entry satisfies never;
  }
}

function* readContents(path: string, size: number): Generator<NarEvent, void, undefined> {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    const reason = `it cannot be read (${error instanceof Error ? error.message : error})`;
    throw new DefinitionError("WORLD_PATH_UNUSABLE", { path, why: "selected for a world", reason }, { cause: error });
  }
  try {
    for (let offset = 0; offset < size; ) {
      const bytes = Buffer.allocUnsafeSlow(Math.min(pieceBytes, size - offset));
      const count = readSync(fd, bytes, 0, bytes.length, offset);
      if (count === 0) throw new DefinitionError("WORLD_CHANGED", { path });
      yield { kind: "contents", bytes: bytes.subarray(0, count) };
      offset += count;
    }
    if (readSync(fd, Buffer.alloc(1), 0, 1, size) !== 0) throw new DefinitionError("WORLD_CHANGED", { path });
  } finally {
    closeSync(fd);
  }
}
