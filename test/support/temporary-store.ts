/** A real store in a temporary directory, written by the plain tree writer, and archives to put into it. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { chmod, readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeNar } from "../../derivations/nar/encoder.ts";
import type { NarEvent } from "../../derivations/nar/grammar.ts";
import { parseStoreDirectory } from "../../derivations/store-path.ts";
import { openStore, type Store, type StoreOptions } from "../../store/store.ts";
import { type Faults, PlainTreeWriter } from "./plain-tree-writer.ts";

export const storeDirectory = parseStoreDirectory("/cloister/store");

export class TemporaryStore implements AsyncDisposable {
  readonly root: string;
  readonly faults: Faults = {};
  #open: Store | undefined;

  constructor(root: string = mkdtempSync(join(tmpdir(), "cloister-store-"))) {
    this.root = root;
  }

  /** The open store. */
  get store(): Store {
    if (this.#open === undefined) throw new Error("the store is not open");
    return this.#open;
  }

  async open(options: Partial<StoreOptions> = {}): Promise<Store> {
    this.#open = await openStore({
      storeDirectory,
      root: this.root,
      startWriter: async (layout) => new PlainTreeWriter(layout, this.faults),
      syncIntervalMs: 0,
      ...options,
    });
    return this.#open;
  }

  async close(): Promise<void> {
    const store = this.#open;
    this.#open = undefined;
    await store?.[Symbol.asyncDispose]();
  }

  /** What lies in staging and trash: empty when nothing is under way. */
  leftInStaging(): string[] {
    return leftInStaging(this.store);
  }

  /** The base names in the store directory. */
  onDisk(): string[] {
    return readdirSync(this.store.layout.realStoreDirectory).sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
    await makeRemovable(this.root);
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** Without the views that the launcher keeps ready for its builds. */
export function leftInStaging({ layout }: Store): string[] {
  const staged = readdirSync(layout.stagingDirectory).filter((name) => !name.startsWith("view-"));
  return [...staged, ...readdirSync(layout.trashDirectory)];
}

export async function temporaryStore(options: Partial<StoreOptions> = {}): Promise<TemporaryStore> {
  const temporary = new TemporaryStore();
  await temporary.open(options);
  return temporary;
}

/** The archive of a regular file. */
export function fileNar(contents: string, options: { readonly executable?: boolean } = {}): Uint8Array {
  const bytes = Buffer.from(contents);
  const events: NarEvent[] = [{ kind: "file", executable: options.executable === true, size: BigInt(bytes.length) }];
  if (bytes.length > 0) events.push({ kind: "contents", bytes });
  return nar(events);
}

/** The archive of a directory with files. */
export function directoryNar(files: Readonly<Record<string, string>>): Uint8Array {
  const events: NarEvent[] = [{ kind: "directory" }];
  for (const name of Object.keys(files).sort()) {
    const bytes = Buffer.from(files[name] ?? "");
    events.push({ kind: "entry", name: Buffer.from(name) });
    events.push({ kind: "file", executable: false, size: BigInt(bytes.length) });
    if (bytes.length > 0) events.push({ kind: "contents", bytes });
  }
  events.push({ kind: "end" });
  return nar(events);
}

export function nar(events: Iterable<NarEvent>): Uint8Array {
  return Buffer.concat([...encodeNar(events)]);
}

/** As a stream, in pieces of this size. */
export async function* inPieces(bytes: Uint8Array, size = 1000): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += size) yield bytes.subarray(start, start + size);
}

/** Directories of store objects are read-only, which stops `rm` for who is not root. */
export async function makeRemovable(top: string): Promise<void> {
  const directories = [top];
  for (const directory of directories) {
    await chmod(directory, 0o700).catch(() => {}); // gone, or no directory of ours
    for (const entry of await readdir(directory, { withFileTypes: true }).catch(() => []))
      if (entry.isDirectory()) directories.push(join(directory, entry.name)); // visited later
  }
}
