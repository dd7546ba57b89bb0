/** Two archives, file by file: what one has and the other has not, and what is another file by the same name. */
import { NarDecoder } from "../../derivations/nar/decoder.ts";
import { type DigestedEntry, TreeDigester } from "../../derivations/nar/tree-digest.ts";
import type { ByteStream } from "../api/service.ts";

export interface FileDifference {
  /** Below the paths; "" for the path itself. */
  readonly file: string;
  readonly change: "added" | "removed" | "changed";
  /** What is another: one of these, for what changed. */
  readonly what?: "kind" | "contents" | "executable" | "target";
  /** Of regular files, in bytes. */
  readonly sizeBefore?: number;
  readonly sizeAfter?: number;
}

/** Sorted by name. Throws NAR_* errors and what the streams throw. */
export async function compareFiles(before: ByteStream, after: ByteStream): Promise<readonly FileDifference[]> {
  const [old, new_] = await Promise.all([digestTree(before), digestTree(after)]);
  const found: FileDifference[] = [];
  for (const file of [...new Set([...old.keys(), ...new_.keys()])].sort()) {
    const [left, right] = [old.get(file), new_.get(file)];
    const sizes = {
      ...(left?.kind === "file" && { sizeBefore: left.size }),
      ...(right?.kind === "file" && { sizeAfter: right.size }),
    };
    if (left === undefined) found.push({ file, change: "added", ...sizes });
    else if (right === undefined) found.push({ file, change: "removed", ...sizes });
    else {
      const what = findDifference(left, right);
      if (what !== undefined) found.push({ file, change: "changed", what, ...sizes });
    }
  }
  return found;
}

function findDifference(left: DigestedEntry, right: DigestedEntry): FileDifference["what"] {
  if (left.kind === "file" && right.kind === "file") {
    if (left.digest !== right.digest) return "contents";
    return left.executable === right.executable ? undefined : "executable";
  }
  if (left.kind === "link" && right.kind === "link") return left.target === right.target ? undefined : "target";
  return left.kind === right.kind ? undefined : "kind";
}

async function digestTree(archive: ByteStream): Promise<ReadonlyMap<string, DigestedEntry>> {
  const digester = new TreeDigester();
  const decoder = new NarDecoder();
  for await (const chunk of archive) for (const event of decoder.push(chunk)) digester.take(event);
  decoder.end();
  return digester.finish();
}
