/** The rows of Nix's tables, typed: valid paths, their references, and the outputs of derivations. */
import { parseContentAddress, printContentAddress } from "../derivations/content-address.ts";
import { parseSha256, printHash } from "../derivations/hash.ts";
import type { PathInfo } from "../derivations/path-info.ts";
import { parseFullStorePath, printStorePath, type StoreDirectory, type StorePath } from "../derivations/store-path.ts";
import type { Connection } from "./database.ts";
import { reasonOf, StoreError } from "./errors.ts";
import { ReferenceGraph } from "./reference-graph.ts";

/** An output that is known of a derivation; written only if the derivation is valid. */
export interface DerivationOutputRow {
  readonly drvPath: StorePath;
  readonly outputId: string;
  readonly path: StorePath;
}

export class ValidPaths {
  /** Of db.sqlite. */
  readonly connection: Connection;
  readonly #directory: StoreDirectory;
  readonly #graph: ReferenceGraph;
  readonly #statements;
  /** Made once: making it costs more than a short transaction. */
  readonly #run;
  #lastId = 0;
  #dataVersion = 0;

  /** The graph is empty, and filled by `load`. */
  constructor(connection: Connection, directory: StoreDirectory, graph: ReferenceGraph) {
    this.connection = connection;
    this.#directory = directory;
    this.#graph = graph;
    this.#statements = prepare(connection);
    this.#run = connection.transaction((write: () => void) => write());
    this.load();
  }

  /** The highest id that was given to a path so far: ids are never used again. */
  get lastId(): number {
    return this.#lastId;
  }

  /** Fills the graph from the tables, dropping what it held. */
  load(): void {
    this.connection.transaction(() => {
      const { countPaths, countReferences, listPaths, listReferences } = this.#statements;
      const loaded = new ReferenceGraph({
        paths: countPaths.get()?.count ?? 0,
        references: countReferences.get()?.count ?? 0,
      });
      for (const row of listPaths.iterate()) {
        loaded.addPath(row.id, this.#parsePath("ValidPaths.path", row.path));
        this.#lastId = Math.max(this.#lastId, row.id);
      }
      for (const { referrer, reference } of listReferences.iterate())
        loaded.addReference(loaded.findSlotOfId(referrer), loaded.findSlotOfId(reference));
      this.#graph.replaceBy(loaded);
    })();
    this.#dataVersion = this.#readDataVersion();
  }

  /** Loads again if another program has written since the last look. */
  refresh(): void {
    if (this.#readDataVersion() !== this.#dataVersion) this.load();
  }

  find(path: StorePath): PathInfo | undefined {
    const row = this.#statements.findPath.get(this.#print(path));
    if (row === undefined) return undefined;
    const contentAddress = row.ca ? this.#parseColumn("ca", row.ca, parseContentAddress) : undefined;
    const deriver = row.deriver ? this.#parsePath("ValidPaths.deriver", row.deriver) : undefined;
    return {
      path,
      narHash: this.#parseColumn("hash", row.hash, parseSha256),
      narSize: BigInt(row.narSize ?? 0),
      references: new Set(this.#graph.references(path)),
      ...(deriver && { deriver }),
      registeredAtSeconds: row.registrationTime,
      ultimate: row.ultimate === 1,
      signatures: row.sigs ? row.sigs.split(" ") : [],
      ...(contentAddress && { contentAddress }),
    };
  }

  /** In bytes; 0 if the path is not valid. */
  /** The sizes of the next so many after an id, and the last one's id; undefined after the end. */
  narSizesAfter(id: number, limit: number): { readonly bytes: number; readonly lastId: number } | undefined {
    const row = this.#statements.narSizesAfter.get(id, limit);
    return row === undefined || row.lastId === null ? undefined : { bytes: row.bytes ?? 0, lastId: row.lastId };
  }

  narSize(path: StorePath): number {
    return this.#statements.narSize.get(this.#print(path))?.narSize ?? 0;
  }

  /** Valid derivations that have this path as an output. */
  validDerivers(path: StorePath): StorePath[] {
    const rows = this.#statements.derivers.all(this.#print(path));
    return rows.map((row) => this.#parsePath("ValidPaths.path", row.path));
  }

  /** The outputs of a valid derivation that are known, by id. */
  derivationOutputs(drvPath: StorePath): Map<string, StorePath> {
    const rows = this.#statements.outputs.all(this.#print(drvPath));
    return new Map(rows.map((row) => [row.id, this.#parsePath("DerivationOutputs.path", row.path)]));
  }

  /** Valid paths with an id above this one, in the order of their registration. */
  registeredAfter(id: number): StorePath[] {
    const rows = this.#statements.pathsAfter.all(id);
    return rows.map((row) => this.#parsePath("ValidPaths.path", row.path));
  }

  /** Within a transaction of the caller's. `idOf` gives the id of a reference. Returns the new row's id. */
  insert(info: PathInfo): number {
    const { lastInsertRowid } = this.#statements.insertPath.run(
      this.#print(info.path),
      printHash(info.narHash, "base16"),
      info.registeredAtSeconds,
      info.deriver === undefined ? null : this.#print(info.deriver),
      info.narSize === 0n ? null : info.narSize,
      info.ultimate ? 1 : null,
      info.signatures.length === 0 ? null : info.signatures.join(" "),
      info.contentAddress === undefined ? null : printContentAddress(info.contentAddress),
    );
    return Number(lastInsertRowid);
  }

  insertReference(referrerId: number, referenceId: number): void {
    this.#statements.insertReference.run(referrerId, referenceId);
  }

  insertOutput(drvId: number, outputId: string, path: StorePath): void {
    this.#statements.insertOutput.run(drvId, outputId, this.#print(path));
  }

  /** Runs `write` in one transaction; `lastId` and the graph are the caller's to bring up to date afterwards. */
  transaction(write: () => void): void {
    this.#run.immediate(write);
  }

  /** After a commit: ids up to this one have been given. */
  noteId(id: number): void {
    this.#lastId = Math.max(this.#lastId, id);
  }

  /** Within a transaction of the caller's; the graph is the caller's to bring up to date after its commit. */
  deleteRow(path: StorePath): void {
    this.#statements.deletePath.run(this.#print(path));
  }

  /**
   * Makes these paths invalid in one transaction, referrers first as they are given, and takes them out of the graph.
   * The caller keeps it short.
   */
  invalidate(paths: readonly StorePath[]): void {
    this.transaction(() => {
      for (const path of paths) this.deleteRow(path);
    });
    for (const path of paths) this.#graph.remove(path);
  }

  #print(path: StorePath): string {
    return printStorePath(this.#directory, path);
  }

  #parsePath(column: string, text: string): StorePath {
    return this.#parseColumn(column, text, (value) => parseFullStorePath(this.#directory, value));
  }

  #parseColumn<Value>(column: string, text: string, parse: (text: string) => Value): Value {
    try {
      return parse(text);
    } catch (error) {
      const reason = `${column} holds ${JSON.stringify(text)}: ${reasonOf(error)}`;
      throw new StoreError("STORE_DATABASE_UNUSABLE", { file: this.connection.name, reason }, { cause: error });
    }
  }

  #readDataVersion(): number {
    return this.#statements.dataVersion.get()?.data_version ?? 0;
  }
}

interface PathRow {
  readonly hash: string;
  readonly registrationTime: number;
  readonly deriver: string | null;
  readonly narSize: number | null;
  readonly ultimate: number | null;
  readonly sigs: string | null;
  readonly ca: string | null;
}

function prepare(connection: Connection) {
  type PathText = { readonly path: string };
  return {
    dataVersion: connection.prepare<[], { readonly data_version: number }>("pragma data_version"),
    countPaths: connection.prepare<[], { readonly count: number }>("select count(*) as count from ValidPaths"),
    countReferences: connection.prepare<[], { readonly count: number }>("select count(*) as count from Refs"),
    listPaths: connection.prepare<[], PathText & { readonly id: number }>(
      "select id, path from ValidPaths order by id",
    ),
    listReferences: connection.prepare<[], { readonly referrer: number; readonly reference: number }>(
      "select referrer, reference from Refs order by referrer, reference",
    ),
    findPath: connection.prepare<[string], PathRow>(
      "select hash, registrationTime, deriver, narSize, ultimate, sigs, ca from ValidPaths where path = ?",
    ),
    narSizesAfter: connection.prepare<
      [number, number],
      { readonly bytes: number | null; readonly lastId: number | null }
    >(
      `select sum(narSize) as bytes, max(id) as lastId
       from (select id, narSize from ValidPaths where id > ? order by id limit ?)`,
    ),
    narSize: connection.prepare<[string], { readonly narSize: number | null }>(
      "select narSize from ValidPaths where path = ?",
    ),
    pathsAfter: connection.prepare<[number], PathText>("select path from ValidPaths where id > ? order by id"),
    derivers: connection.prepare<[string], PathText>(
      "select v.path from DerivationOutputs d join ValidPaths v on d.drv = v.id where d.path = ? order by v.path",
    ),
    outputs: connection.prepare<[string], PathText & { readonly id: string }>(
      "select d.id, d.path from DerivationOutputs d join ValidPaths v on d.drv = v.id where v.path = ? order by d.id",
    ),
    insertPath: connection.prepare<
      [string, string, number, string | null, bigint | null, number | null, string | null, string | null]
    >(
      "insert into ValidPaths (path, hash, registrationTime, deriver, narSize, ultimate, sigs, ca) values (?, ?, ?, ?, ?, ?, ?, ?)",
    ),
    insertReference: connection.prepare<[number, number]>(
      "insert or ignore into Refs (referrer, reference) values (?, ?)",
    ),
    insertOutput: connection.prepare<[number, string, string]>(
      // Most are known since their derivation was added: those are not written again, in three trees.
      `insert into DerivationOutputs (drv, id, path) values (?, ?, ?)
       on conflict (drv, id) do update set path = excluded.path where path <> excluded.path`,
    ),
    deletePath: connection.prepare<[string]>("delete from ValidPaths where path = ?"),
  };
}
