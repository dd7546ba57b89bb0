/** A tree in brief: for each file, link and directory what tells it from another one by the same name. */
import { Buffer } from "node:buffer";
import { createHash, type Hash } from "node:crypto";
import type { NarEvent } from "./grammar.ts";
import { NarPlace } from "./nar-place.ts";

export type DigestedEntry =
  | { readonly kind: "file"; readonly executable: boolean; readonly size: number; readonly digest: string }
  /** The target's bytes, one for each character. */
  | { readonly kind: "link"; readonly target: string }
  | { readonly kind: "directory" };

/** Takes the events of an archive; memory grows with the number of files, not with their size. */
export class TreeDigester {
  readonly #entries = new Map<string, DigestedEntry>();
  readonly #place = new NarPlace();
  #file: { readonly executable: boolean; readonly size: number; readonly hash: Hash } | undefined;

  take(event: NarEvent): void {
    if (event.kind === "contents") return void this.#file?.hash.update(event.bytes);
    this.#endFile();
    if (event.kind === "file")
      this.#file = { executable: event.executable, size: Number(event.size), hash: createHash("sha256") };
    if (event.kind === "symlink")
      this.#entries.set(this.#place.path, { kind: "link", target: Buffer.from(event.target).toString("latin1") });
    if (event.kind === "directory") this.#entries.set(this.#place.path, { kind: "directory" });
    this.#place.take(event);
  }

  /** By name, as `NarPlace` has it. */
  finish(): ReadonlyMap<string, DigestedEntry> {
    this.#endFile();
    return this.#entries;
  }

  /** Its name is that of the last entry, for no other one has begun. */
  #endFile(): void {
    if (this.#file === undefined) return;
    const { executable, size, hash } = this.#file;
    this.#file = undefined;
    this.#entries.set(this.#place.path, { kind: "file", executable, size, digest: hash.digest("hex") });
  }
}
