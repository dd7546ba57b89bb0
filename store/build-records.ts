/** Records of builds, in cloister.sqlite. A record says "sealing" while its outputs are being registered in the other file. */
import type { BuildRecord, BuiltOutput } from "../derivations/build-record.ts";
import { printHash } from "../derivations/hash.ts";
import type { PathInfo } from "../derivations/path-info.ts";
import { parseFullStorePath, parseStorePath, type StoreDirectory, type StorePath } from "../derivations/store-path.ts";
import { type Connection, nameDatabaseError } from "./database.ts";
import { interruptedBuild } from "./errors.ts";

export class BuildRecords {
  readonly #connection: Connection;
  readonly #directory: StoreDirectory;
  readonly #statements;
  /** Made once: making it costs more than a short transaction. */
  readonly #run;
  /** Done, and not yet said so in the file: a crash loses little, for the next start settles them. */
  #finished: BuildRecord[] = [];

  constructor(connection: Connection, directory: StoreDirectory) {
    this.#connection = connection;
    this.#directory = directory;
    this.#statements = prepare(connection);
    this.#run = connection.transaction((write: () => void) => write());
  }

  /** A record of a new build. Throws STORE_DISK_FULL, STORE_DATABASE_UNUSABLE. */
  insert(record: BuildRecord): void {
    this.#write(record, record.status, true);
  }

  /** Puts the record in place of what was known of this build. */
  update(record: BuildRecord): void {
    this.#write(record);
  }

  /** For `commitOutputs`: the record as it is to be once its outputs are registered, under the status "sealing". */
  writeSealing(record: BuildRecord): void {
    this.#write(record, "sealing");
  }

  /**
   * For `commitOutputs`: the record as it is now that its outputs are registered. What was written before says that it is
   * building or sealing, and names the same outputs; this is written with others, off the build's path.
   */
  finish(record: BuildRecord, onFailed: (error: unknown) => void): void {
    this.#finished.push(record);
    if (this.#finished.length > 1) return;
    setImmediate(() => {
      try {
        this.flush();
      } catch (error) {
        onFailed(error);
      }
    });
  }

  /** Writes what is still to be written; whoever reads or closes the file calls it first. */
  flush(): void {
    if (this.#finished.length === 0) return;
    const finished = this.#finished;
    this.#finished = [];
    this.#inTransaction(() => {
      for (const record of finished) this.#statements.finish.run(record.status, JSON.stringify(record), record.id);
    });
  }

  find(id: string): BuildRecord | undefined {
    this.flush();
    const row = this.#statements.find.get(id);
    return row && readRow(row);
  }

  /** Of the last build here that made this path. */
  findByOutput(path: StorePath): BuildRecord | undefined {
    this.flush();
    const row = this.#statements.byOutput.all(path, 1)[0];
    return row && readRow(row);
  }

  /** Newest first. `text` is an id, a derivation's or an output's path (full or base name), or a name with or without version. */
  list(query: { readonly text?: string; readonly limit: number }): BuildRecord[] {
    this.flush();
    const { text, limit } = query;
    if (text === undefined || text === "") return this.#statements.all.all(limit).map(readRow);
    const path = this.#findStorePath(text);
    if (path !== undefined) return this.#statements.byPath.all(path, path, limit).map(readRow);
    return this.#statements.byText.all(text, text, `${escapeLike(text)}-%`, limit).map(readRow);
  }

  /**
   * After a start: settles what a dead owner left. A record that names outputs is done if they all are valid: then the
   * builder exited with 0, and what else of its end was not written is lost. Every other one that is not finished failed
   * with STORE_BUILD_INTERRUPTED. `describe` is undefined for a path that is not valid. Returns the settled records.
   */
  reconcile(describe: (path: StorePath) => BuiltOutput | undefined, nowMs: number): BuildRecord[] {
    return this.#statements.unsettled.all().map((row) => {
      const body = JSON.parse(row.body) as BuildRecord; // written by #writeRows alone
      const outputs: Record<string, BuiltOutput> = {};
      for (const [id, { path }] of Object.entries(body.outputs)) {
        const output = describe(path);
        if (output !== undefined) outputs[id] = output;
      }
      const count = Object.keys(outputs).length;
      const isDone = count > 0 && count === Object.keys(body.outputs).length;
      const settled: BuildRecord = isDone
        ? { ...body, status: "done", exitStatus: 0, stoppedAtMs: body.stoppedAtMs ?? nowMs, outputs }
        : { ...body, status: "failed", outputs: {}, stoppedAtMs: nowMs, error: interruptedBuild(body.name) };
      this.#write(settled);
      return settled;
    });
  }

  #write(record: BuildRecord, status: BuildRecord["status"] = record.status, isNew = false): void {
    this.#inTransaction(() => this.#writeRows(record, status, isNew));
  }

  #writeRows(record: BuildRecord, status: BuildRecord["status"], isNew: boolean): void {
    const { id, drvPath, name, startedAtMs, outputs } = record;
    this.#statements.write.run(id, drvPath, name, status, startedAtMs, JSON.stringify(record));
    if (!isNew) this.#statements.clearOutputs.run(id);
    for (const { path } of Object.values(outputs)) this.#statements.writeOutput.run(path, id);
  }

  #inTransaction(write: () => void): void {
    try {
      this.#run(write);
    } catch (error) {
      throw nameDatabaseError(error, this.#connection.name);
    }
  }

  #findStorePath(text: string): StorePath | undefined {
    try {
      return text.startsWith("/") ? parseFullStorePath(this.#directory, text) : parseStorePath(text);
    } catch {
      return undefined; // then it is an id or a name
    }
  }
}

/** An output as a record has it. */
export function describeOutput(info: Pick<PathInfo, "path" | "narHash" | "narSize">): BuiltOutput {
  return { path: info.path, narHash: printHash(info.narHash, "base32"), narSize: Number(info.narSize) };
}

interface RecordRow {
  readonly status: BuildRecord["status"];
  readonly body: string;
}

function readRow({ status, body }: RecordRow): BuildRecord {
  const record = JSON.parse(body) as BuildRecord; // written by #writeRows alone
  return status === "done" ? { ...record, status } : { ...record, status, outputs: {} };
}

function escapeLike(text: string): string {
  return text.replace(/[\\%_]/g, "\\$&");
}

function prepare(connection: Connection) {
  const columns = "r.status, r.body";
  const newest = "order by r.startedAtMs desc, r.id desc limit ?";
  return {
    write: connection.prepare<[string, string, string, string, number, string]>(
      `insert into BuildRecords (id, drvPath, name, status, startedAtMs, body) values (?, ?, ?, ?, ?, ?)
       on conflict (id) do update set drvPath = excluded.drvPath, name = excluded.name, status = excluded.status,
         startedAtMs = excluded.startedAtMs, body = excluded.body`,
    ),
    finish: connection.prepare<[string, string, string]>("update BuildRecords set status = ?, body = ? where id = ?"),
    clearOutputs: connection.prepare<[string]>("delete from BuildRecordOutputs where record = ?"),
    writeOutput: connection.prepare<[string, string]>("insert into BuildRecordOutputs (path, record) values (?, ?)"),
    find: connection.prepare<[string], RecordRow>(`select ${columns} from BuildRecords r where r.id = ?`),
    unsettled: connection.prepare<[], RecordRow>(
      `select ${columns} from BuildRecords r where r.status in ('building', 'sealing')`,
    ),
    all: connection.prepare<[number], RecordRow>(`select ${columns} from BuildRecords r ${newest}`),
    byOutput: connection.prepare<[string, number], RecordRow>(
      `select ${columns} from BuildRecordOutputs o join BuildRecords r on r.id = o.record
       where o.path = ? and r.status = 'done' ${newest}`,
    ),
    byPath: connection.prepare<[string, string, number], RecordRow>(
      `select ${columns} from BuildRecords r
       where r.drvPath = ? or (r.status = 'done' and r.id in (select record from BuildRecordOutputs where path = ?)) ${newest}`,
    ),
    byText: connection.prepare<[string, string, string, number], RecordRow>(
      `select ${columns} from BuildRecords r where r.id = ? or r.name = ? or r.name like ? escape '\\' ${newest}`,
    ),
  };
}
