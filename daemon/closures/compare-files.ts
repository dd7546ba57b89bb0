/** Two archives, file by file: what one has and the other has not, and what is another file by the same name. */
import { Buffer } from "node:buffer";
import { createHash, type Hash } from "node:crypto";
import { NarDecoder } from "../../derivations/nar/decoder.ts";
import type { NarEvent } from "../../derivations/nar/grammar.ts";
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
  const [old, new_] = await Promise.all([readFiles(before), readFiles(after)]);
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

type Seen =
  | { readonly kind: "file"; readonly executable: boolean; readonly size: number; readonly digest: string }
  | { readonly kind: "link"; readonly target: string }
  | { readonly kind: "directory" };

function findDifference(left: Seen, right: Seen): FileDifference["what"] {
  if (left.kind === "file" && right.kind === "file") {
    if (left.digest !== right.digest) return "contents";
    return left.executable === right.executable ? undefined : "executable";
  }
  if (left.kind === "link" && right.kind === "link") return left.target === right.target ? undefined : "target";
  return left.kind === right.kind ? undefined : "kind";
}

async function readFiles(archive: ByteStream): Promise<ReadonlyMap<string, Seen>> {
  const reader = new Reader();
  const decoder = new NarDecoder();
  for await (const chunk of archive) for (const event of decoder.push(chunk)) reader.take(event);
  decoder.end();
  reader.endFile();
  return reader.seen;
}

class Reader {
  readonly seen = new Map<string, Seen>();
  readonly #names: string[] = [];
  #file: { readonly executable: boolean; readonly size: number; readonly hash: Hash } | undefined;

  take(event: NarEvent): void {
    switch (event.kind) {
      case "directory":
        this.seen.set(this.#names.join("/"), { kind: "directory" });
        this.#names.push("");
        return;
      case "entry":
        this.endFile();
        this.#names[this.#names.length - 1] = Buffer.from(event.name).toString();
        return;
      case "end":
        this.endFile();
        this.#names.pop();
        return;
      case "file":
        this.#file = { executable: event.executable, size: Number(event.size), hash: createHash("sha256") };
        return;
      case "contents":
        this.#file?.hash.update(event.bytes);
        return;
      case "symlink":
        this.seen.set(this.#names.join("/"), { kind: "link", target: Buffer.from(event.target).toString("latin1") });
        return;
      default:
        event satisfies never;
    }
  }

  endFile(): void {
    if (this.#file === undefined) return;
    const { executable, size, hash } = this.#file;
    this.#file = undefined;
    this.seen.set(this.#names.join("/"), { kind: "file", executable, size, digest: hash.digest("base64") });
  }
}
