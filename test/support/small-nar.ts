/** Archives of small trees, written down as path → contents. */
import { encodeNar as encodeEvents } from "../../derivations/nar/encoder.ts";
import type { NarEvent } from "../../derivations/nar/grammar.ts";

type Leaf = string | Uint8Array | { readonly executable: string } | { readonly target: string };
interface Folder extends Map<string, Leaf | Folder> {}

/** The archive of a directory; the paths' folders need not be named. */
export function encodeNar(files: Readonly<Record<string, Leaf>>): Buffer {
  const top: Folder = new Map();
  for (const [path, leaf] of Object.entries(files)) {
    const names = path.split("/");
    const last = names.pop() ?? "";
    let folder = top;
    for (const name of names) {
      const next = folder.get(name) ?? new Map();
      folder.set(name, next);
      folder = next as Folder;
    }
    folder.set(last, leaf);
  }
  return Buffer.concat([...encodeEvents(eventsOf(top))]);
}

function* eventsOf(node: Leaf | Folder): Generator<NarEvent> {
  if (node instanceof Map) {
    yield { kind: "directory" };
    for (const [name, child] of [...node].sort(([a], [b]) => (a < b ? -1 : 1))) {
      yield { kind: "entry", name: Buffer.from(name) };
      yield* eventsOf(child);
    }
    yield { kind: "end" };
  } else if (typeof node === "object" && "target" in node) {
    yield { kind: "symlink", target: Buffer.from(node.target) };
  } else {
    const executable = typeof node === "object" && "executable" in node;
    const bytes = Buffer.from(executable ? node.executable : node);
    yield { kind: "file", executable, size: BigInt(bytes.length) };
    if (bytes.length > 0) yield { kind: "contents", bytes };
  }
}
