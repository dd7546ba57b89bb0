/** What differs between two trees, read as archives side by side: the names a person looks at next. */
import { createHash } from "node:crypto";
import { findText, text } from "../../derivations/bytes.ts";
import { NarDecoder } from "../../derivations/nar/decoder.ts";
import type { NarEvent } from "../../derivations/nar/grammar.ts";
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
    const below = name === "." ? "" : `/${name}`;
    const why = isExplained
      ? await explainFiles(`${explain.left}${below}`, `${explain.right}${below}`, explain.facts)
      : "";
    differences.push(`${name}: ${difference}${why === "" ? "" : ` ${why}`}`);
  }
  const rest = differences.length - limit;
  return rest > 0 ? [...differences.slice(0, limit), `and ${rest} more`] : differences;
}

/** One file, link or directory: `value` is a digest or a target. */
interface Entry {
  readonly type: "a file" | "an executable file" | "a symbolic link" | "a directory";
  readonly value: string;
}

async function digestTree(archive: Bytes): Promise<Map<string, Entry>> {
  const decoder = new NarDecoder();
  const digester = new TreeDigester();
  for await (const chunk of archive) for (const event of decoder.push(chunk)) digester.push(event);
  decoder.end();
  return digester.finish();
}

class TreeDigester {
  readonly #entries = new Map<string, Entry>();
  readonly #directories: string[] = [];
  #name = ".";
  #file:
    | { readonly name: string; readonly executable: boolean; readonly hash: ReturnType<typeof createHash> }
    | undefined;

  push(event: NarEvent): void {
    if (event.kind === "contents") return void this.#file?.hash.update(event.bytes);
    this.#endFile();
    switch (event.kind) {
      case "file":
        this.#file = { name: this.#name, executable: event.executable, hash: createHash("sha256") };
        break;
      case "symlink":
        this.#entries.set(this.#name, { type: "a symbolic link", value: Buffer.from(event.target).toString("latin1") });
        break;
      case "directory":
        this.#entries.set(this.#name, { type: "a directory", value: "" });
        this.#directories.push(this.#name);
        break;
      case "entry": {
        const directory = this.#directories.at(-1) ?? ".";
        const name = findText(event.name) ?? text(event.name);
        this.#name = directory === "." ? name : `${directory}/${name}`;
        break;
      }
      case "end":
        this.#directories.pop();
        break;
      default:
        event satisfies never;
    }
  }

  finish(): Map<string, Entry> {
    this.#endFile();
    return this.#entries;
  }

  #endFile(): void {
    if (this.#file === undefined) return;
    const { name, executable, hash } = this.#file;
    this.#entries.set(name, { type: executable ? "an executable file" : "a file", value: hash.digest("hex") });
    this.#file = undefined;
  }
}

const otherContents = "other contents";

function describe(left: Entry | undefined, right: Entry | undefined): string | undefined {
  if (left === undefined) return "only in the second";
  if (right === undefined) return "only in the first";
  if (left.type !== right.type) return `${left.type} in the first, ${right.type} in the second`;
  if (left.value === right.value) return undefined;
  if (left.type !== "a symbolic link") return otherContents;
  return `other target, ${JSON.stringify(left.value)} and ${JSON.stringify(right.value)}`;
}

/** Whether the last line is already about a directory that holds this name, and says that it is only in one of the two. */
function isBelow(name: string, differences: readonly string[]): boolean {
  const last = differences.at(-1);
  const end = last?.indexOf(": only in") ?? -1;
  return last !== undefined && end >= 0 && name.startsWith(`${last.slice(0, end)}/`);
}
