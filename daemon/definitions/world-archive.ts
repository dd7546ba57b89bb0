/** The NAR of a selection of host files, streamed from where they lie: no copy of the tree is made. */
import type { NarEvent } from "../../derivations/nar/grammar.ts";
import { readContents, streamArchive } from "./archive-stream.ts";
import { DefinitionError } from "./errors.ts";
import type { HostEntry, HostTree } from "./host-tree.ts";

/**
 * Gives pieces of about 256 KiB, none empty; lets other work of this process go on between them.
 * Throws WORLD_CHANGED if a file is not as long as when it was selected, WORLD_PATH_UNUSABLE if it cannot be read.
 */
export function archiveHostTree(
  tree: HostTree,
  options: { readonly signal?: AbortSignal } = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  return streamArchive(listEvents(makeNode(tree)), options);
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
      yield* readContents(entry.path, entry.size, failuresOf(entry.path));
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

function failuresOf(path: string) {
  return {
    changed: () => new DefinitionError("WORLD_CHANGED", { path }),
    unreadable: (cause: unknown) => {
      const reason = `it cannot be read (${cause instanceof Error ? cause.message : cause})`;
      return new DefinitionError("WORLD_PATH_UNUSABLE", { path, why: "selected for a world", reason }, { cause });
    },
  };
}
