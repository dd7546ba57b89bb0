/** What differs between two trees, read as archives side by side: the names a person looks at next. */
import { NarDecoder } from "../../derivations/nar/decoder.ts";
import { type DigestedEntry, TreeDigester } from "../../derivations/nar/tree-digest.ts";
import { type DifferenceFacts, explainFiles } from "./explain-difference.ts";

type Bytes = AsyncIterable<Uint8Array>;

export interface CompareOptions {
  /** How many lines at most. */
  readonly limit?: number;
  /** Where both trees lie: then a line also says where two files differ, and what that may be. */
  readonly explain?: { readonly left: string; readonly right: string; readonly facts: DifferenceFacts };
}

/**
 * One line for each difference, by name: "bin/hello: other contents", "share: only in the first"; the top itself is ".".
 * After `limit` lines one more says how many were left out. Memory grows with the number of files, not with their size.
 */
export async function compareTrees(first: Bytes, second: Bytes, options: CompareOptions = {}): Promise<string[]> {
  const { limit = 100, explain } = options;
  const left = await digestTree(first);
  const right = await digestTree(second);
  const names = [...new Set([...left.keys(), ...right.keys()])].sort();

  const differences: string[] = [];
  for (const name of names) {
    const difference = describe(left.get(name), right.get(name));
    if (difference === undefined || isBelow(name, differences)) continue;
    const isExplained = explain !== undefined && difference === otherContents && differences.length < limit;
    const below = name === "" ? "" : `/${name}`;
    const why = isExplained
      ? await explainFiles(`${explain.left}${below}`, `${explain.right}${below}`, explain.facts)
      : "";
    differences.push(`${name || "."}: ${difference}${why === "" ? "" : ` ${why}`}`);
  }
  const rest = differences.length - limit;
  return rest > 0 ? [...differences.slice(0, limit), `and ${rest} more`] : differences;
}

async function digestTree(archive: Bytes): Promise<ReadonlyMap<string, DigestedEntry>> {
  const decoder = new NarDecoder();
  const digester = new TreeDigester();
  for await (const chunk of archive) for (const event of decoder.push(chunk)) digester.take(event);
  decoder.end();
  return digester.finish();
}

const otherContents = "other contents";

function describe(left: DigestedEntry | undefined, right: DigestedEntry | undefined): string | undefined {
  if (left === undefined) return "only in the second";
  if (right === undefined) return "only in the first";
  const [first, second] = [typeOf(left), typeOf(right)];
  if (first !== second) return `${first} in the first, ${second} in the second`;
  if (left.kind === "link" && right.kind === "link")
    return left.target === right.target
      ? undefined
      : `other target, ${JSON.stringify(left.target)} and ${JSON.stringify(right.target)}`;
  const isSame = left.kind !== "file" || right.kind !== "file" || left.digest === right.digest;
  return isSame ? undefined : otherContents;
}

function typeOf(entry: DigestedEntry): string {
  if (entry.kind === "directory") return "a directory";
  if (entry.kind === "link") return "a symbolic link";
  return entry.executable ? "an executable file" : "a file";
}

/** Whether the last line is already about a directory that holds this name, and says that it is only in one of the two. */
function isBelow(name: string, differences: readonly string[]): boolean {
  const last = differences.at(-1);
  const end = last?.indexOf(": only in") ?? -1;
  return last !== undefined && end >= 0 && name.startsWith(`${last.slice(0, end)}/`);
}
