/**
 * A second, simple TreeWriter, with node:fs and the pure NAR decoder: the store's tests run over it where no launcher can
 * run, and beside the launcher to hold the two equal. It can be told to fail, as a full disk or a dying writer would.
 */
import { createHash } from "node:crypto";
import {
  chmodSync,
  closeSync,
  existsSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { NarDecoder } from "../../derivations/nar/decoder.ts";
import { encodeNar } from "../../derivations/nar/encoder.ts";
import type { NarEvent } from "../../derivations/nar/grammar.ts";
import type { StoreLayout } from "../../store/layout.ts";
import type { RemovedTrees, RestoredTree, StagedMove, TreeWriter } from "../../store/tree-writer.ts";

export type WriterOrder = "restore" | "writeText" | "move" | "discard" | "remove";

export interface Faults {
  /** Called before an order is carried out, and within a restore before each chunk; what it throws is the answer. */
  before?: (order: WriterOrder, detail: string) => void;
}

export class PlainTreeWriter implements TreeWriter {
  readonly #layout: StoreLayout;
  readonly #faults: Faults;
  #nextName = 1;

  constructor(layout: StoreLayout, faults: Faults = {}) {
    this.#layout = layout;
    this.#faults = faults;
    for (const directory of [layout.stagingDirectory, layout.trashDirectory, layout.buildsDirectory])
      for (const name of readdirSync(directory)) removeTree(join(directory, name));
  }

  async restore(
    archive: AsyncIterable<Uint8Array>,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<RestoredTree> {
    this.#faults.before?.("restore", "start");
    const stagingName = `tree-${this.#nextName++}`;
    const top = join(this.#layout.stagingDirectory, stagingName);
    const decoder = new NarDecoder();
    const hash = createHash("sha256");
    let narSize = 0n;
    const builder = new TreeBuilder(top);
    try {
      for await (const chunk of archive) {
        options.signal?.throwIfAborted();
        this.#faults.before?.("restore", "chunk");
        hash.update(chunk);
        narSize += BigInt(chunk.length);
        for (const event of decoder.push(chunk)) builder.push(event);
      }
      decoder.end();
      builder.finish();
    } catch (error) {
      builder.abandon();
      removeTree(top);
      throw error;
    }
    return { stagingName, narHash: hash.digest(), narSize };
  }

  async writeText(name: string, contents: Uint8Array): Promise<{ narHash: Uint8Array; narSize: bigint }> {
    this.#faults.before?.("writeText", name);
    const from = `text-${this.#nextName++}`;
    const temporary = join(this.#layout.stagingDirectory, from);
    try {
      writeFileSync(temporary, contents, { mode: 0o444 });
      lutimesSync(temporary, 1, 1);
      await this.move([{ from, to: name }]);
    } catch (error) {
      removeTree(temporary);
      throw error;
    }
    const hash = createHash("sha256");
    let narSize = 0n;
    const file: NarEvent[] = [{ kind: "file", executable: false, size: BigInt(contents.length) }];
    if (contents.length > 0) file.push({ kind: "contents", bytes: contents });
    for (const chunk of encodeNar(file)) {
      hash.update(chunk);
      narSize += BigInt(chunk.length);
    }
    return { narHash: hash.digest(), narSize };
  }

  async move(moves: readonly StagedMove[]): Promise<void> {
    for (const { from, to } of moves) {
      this.#faults.before?.("move", to);
      const target = join(this.#layout.realStoreDirectory, assertName(to));
      if (isThere(target)) this.#trash(target);
      const source = join(this.#layout.stagingDirectory, assertName(from));
      const isDirectory = lstatSync(source).isDirectory();
      if (isDirectory) chmodSync(source, 0o755); // renaming a directory changes its "..", which needs the write bit
      renameSync(source, target);
      if (isDirectory) {
        chmodSync(target, 0o555);
        lutimesSync(target, 1, 1);
      }
    }
  }

  async discard(stagingNames: readonly string[]): Promise<void> {
    for (const name of stagingNames) {
      this.#faults.before?.("discard", name);
      removeTree(join(this.#layout.stagingDirectory, assertName(name)));
    }
  }

  async remove(names: readonly string[]): Promise<RemovedTrees> {
    let freedBytes = 0n;
    const missing: string[] = [];
    for (const name of names) {
      this.#faults.before?.("remove", name);
      const path = join(this.#layout.realStoreDirectory, assertName(name));
      if (isThere(path)) freedBytes += this.#trash(path);
      else missing.push(name);
    }
    return { freedBytes, missing };
  }

  /** Renames away first, so that a name never stands for half a tree. */
  #trash(path: string): bigint {
    const away = join(this.#layout.trashDirectory, `gone-${this.#nextName++}`);
    if (lstatSync(path).isDirectory()) chmodSync(path, 0o755);
    renameSync(path, away);
    return removeTree(away);
  }
}

/** Makes what the events say. Names were checked by the decoder. */
class TreeBuilder {
  readonly #directories: string[] = [];
  #place: string;
  #fd: number | undefined;
  #left = 0n;
  #file = { place: "", mode: 0o444 };

  constructor(top: string) {
    this.#place = top;
  }

  push(event: NarEvent): void {
    switch (event.kind) {
      case "entry":
        this.#place = join(this.#directories.at(-1) ?? "", Buffer.from(event.name).toString());
        break;
      case "directory":
        mkdirSync(this.#place, { mode: 0o755 });
        this.#directories.push(this.#place);
        break;
      case "end":
        seal(this.#directories.pop() ?? "", 0o555);
        break;
      case "symlink":
        symlinkSync(Buffer.from(event.target), this.#place);
        lutimesSync(this.#place, 1, 1);
        break;
      case "file":
        this.#file = { place: this.#place, mode: event.executable ? 0o555 : 0o444 };
        this.#fd = openSync(this.#place, "wx");
        this.#left = event.size;
        this.#endFile();
        break;
      case "contents":
        writeSync(this.#fd ?? -1, event.bytes);
        this.#left -= BigInt(event.bytes.length);
        this.#endFile();
        break;
      default:
        event satisfies never;
    }
  }

  finish(): void {
    if (this.#fd !== undefined) throw new Error("the archive ended within a file");
  }

  abandon(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  #endFile(): void {
    if (this.#left > 0n || this.#fd === undefined) return;
    closeSync(this.#fd);
    this.#fd = undefined;
    seal(this.#file.place, this.#file.mode);
  }
}

function seal(path: string, mode: number): void {
  chmodSync(path, mode);
  lutimesSync(path, 1, 1);
}

/** Returns the bytes of the files that went. */
function removeTree(top: string): bigint {
  if (!isThere(top)) return 0n;
  let freed = 0n;
  const directories = [top];
  for (const directory of directories) {
    const stat = lstatSync(directory);
    if (!stat.isDirectory()) {
      freed += BigInt(stat.size);
      continue;
    }
    chmodSync(directory, 0o700);
    for (const name of readdirSync(directory)) directories.push(join(directory, name)); // visited later
  }
  rmSync(top, { recursive: true });
  return freed;
}

function isThere(path: string): boolean {
  return existsSync(path) || lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

function assertName(name: string): string {
  if (name === "" || name.includes("/") || name === "." || name === "..")
    throw new Error(`${JSON.stringify(name)} is no base name`);
  return name;
}
