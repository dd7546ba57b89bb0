/**
 * Records of builds, in cloister.sqlite. While a build runs, or its outputs are being registered in the other file
 * ("sealing"), its record is one row of a small table, and in memory too, for the builds are this process's own. When it
 * has ended it comes among those that can be searched, together with others that end at about the same time: all that it
 * is found by makes that several times as dear, and nobody waits for it.
 */
import type { BuildQuery, BuildRecord, BuiltOutput } from "../derivations/build-record.ts";
import { printHash } from "../derivations/hash.ts";
import type { PathInfo } from "../derivations/path-info.ts";
import { parseFullStorePath, parseStorePath, type StoreDirectory, type StorePath } from "../derivations/store-path.ts";
import { BuildSearch, type EndedRow, isMeant, mostRecords, NewestDone } from "./build-search.ts";
import { type Connection, nameDatabaseError } from "./database.ts";
import { interruptedBuild, isDiskFull } from "./errors.ts";

/** How long an ended build waits for others that end, in milliseconds. */
const gatherMs = 20;

interface Numbered {
  readonly number: number;
  readonly record: BuildRecord;
}

export class BuildRecords {
  readonly #connection: Connection;
  readonly #directory: StoreDirectory;
  readonly #statements;
  readonly #newestDone: NewestDone;
  readonly #search: BuildSearch;
  /** Made once: making it costs more than a short transaction. */
  readonly #run;
  /** By id. */
  readonly #running = new Map<string, Numbered>();
  /** Ended, and not yet so in the file: a crash loses little, for the next start settles them. */
  #ended: Numbered[] = [];
  #gathering: NodeJS.Timeout | undefined;
  #lastNumber: number;

  constructor(connection: Connection, directory: StoreDirectory) {
    this.#connection = connection;
    this.#directory = directory;
    this.#statements = prepare(connection);
    this.#newestDone = new NewestDone(connection);
    this.#search = new BuildSearch(connection);
    this.#run = connection.transaction((write: () => void) => write());
    this.#lastNumber = this.#statements.lastNumber.get()?.number ?? 0;
  }

  /** A record of a new build. Throws STORE_DISK_FULL, STORE_DATABASE_UNUSABLE. */
  insert(record: BuildRecord): void {
    if (isRunning(record)) {
      this.#writeRunning(record);
      return;
    }
    // Said to be done, and then not: it must not be written twice under one number.
    if (this.#ended.length > 0) this.#ended = this.#ended.filter((ended) => ended.record.id !== record.id);
    this.#writeEnded([this.#number(record)]);
  }

  /** Puts the record in place of what was known of this build. */
  update(record: BuildRecord): void {
    this.insert(record);
  }

  /** Puts the record of a build that has ended in place of the one with its id; nothing if there is none. */
  amend(record: BuildRecord): void {
    this.flush();
    this.#translating(() => this.#statements.amend.run(JSON.stringify(record), record.id));
  }

  /** For `commitOutputs`: the record as it is to be once its outputs are registered, under the status "sealing". */
  writeSealing(record: BuildRecord): void {
    this.#writeRunning({ ...record, status: "sealing" });
  }

  /**
   * For `commitOutputs`: the record as it is now that its outputs are registered. What was written before says that it is
   * building or sealing, and names the same outputs; this is written with others, off the build's path.
   */
  finish(record: BuildRecord, onFailed: (error: unknown) => void): void {
    this.#ended.push(this.#number(record));
    this.#gathering ??= setTimeout(() => {
      this.#gathering = undefined;
      try {
        this.flush();
      } catch (error) {
        onFailed(error);
      }
    }, gatherMs);
  }

  /** Writes what is still to be written; whoever closes the file calls it first. What finds no room is tried again later. */
  flush(): void {
    if (this.#ended.length === 0) return;
    const ended = this.#ended;
    this.#ended = [];
    try {
      this.#writeEnded(ended);
    } catch (error) {
      if (isDiskFull(error)) this.#ended = [...ended, ...this.#ended];
      throw error;
    }
  }

  /** For whoever searches: where the disk is full, what has ended last is still found as it was while it ran. */
  #flushIfThereIsRoom(): void {
    try {
      this.flush();
    } catch (error) {
      if (!isDiskFull(error)) throw error;
    }
  }

  find(id: string): BuildRecord | undefined {
    this.#flushIfThereIsRoom();
    const running = this.#running.get(id);
    if (running !== undefined) return withoutPlans(running.record);
    const row = this.#statements.find.get(id);
    return row && readRow(row).record;
  }

  /** Of the last build here that made this path. */
  findByOutput(path: StorePath): BuildRecord | undefined {
    this.#flushIfThereIsRoom();
    const row = this.#statements.byOutput.get(path);
    return row && readRow(row).record;
  }

  /** Newest first, and never more than `mostRecords`. */
  list(query: BuildQuery): BuildRecord[] {
    this.#flushIfThereIsRoom();
    const { text = "", beforeId } = query;
    const path = text === "" ? undefined : this.#findStorePath(text);
    const before = beforeId === undefined ? undefined : this.#numberOf(beforeId);
    const found = this.#search.find(query, path, before).map(readRow);
    for (const running of this.#running.values())
      if (isMeant(running.record, query, path) && (before === undefined || running.number < before))
        found.push({ ...running, record: withoutPlans(running.record) });
    found.sort((one, other) => other.number - one.number);
    return found.slice(0, Math.min(query.limit, mostRecords)).map(({ record }) => record);
  }

  /** The newest build of this name that was done, in whatever version; the name is without one. */
  findDone(name: string): BuildRecord | undefined {
    this.#flushIfThereIsRoom();
    const row = this.#newestDone.find(name);
    return row && readRow(row).record;
  }

  /**
   * After a start: settles what a dead owner left. A record that names outputs is done if they all are valid: then the
   * builder exited with 0, and what else of its end was not written is lost. Every other one that is not finished failed
   * with STORE_BUILD_INTERRUPTED. Returns the settled records.
   */
  reconcile(known: KnownAtStart, nowMs: number): BuildRecord[] {
    const settled = this.#statements.running.all().map((row): Numbered => {
      const body = JSON.parse(row.body) as BuildRecord; // written by #writeRunning alone
      const outputs: Record<string, BuiltOutput> = {};
      for (const [id, { path }] of Object.entries(body.outputs)) {
        const output = known.describe(path);
        if (output !== undefined) outputs[id] = output;
      }
      const count = Object.keys(outputs).length;
      const isDone = count > 0 && count === Object.keys(body.outputs).length;
      const logFile = known.findLogFile(body.id);
      const rest = { ...body, ...(logFile !== undefined && { logFile }) };
      const record: BuildRecord = isDone
        ? { ...rest, status: "done", exitStatus: 0, stoppedAtMs: body.stoppedAtMs ?? nowMs, outputs }
        : { ...rest, status: "failed", outputs: {}, stoppedAtMs: nowMs, error: interruptedBuild(body.name) };
      return { number: row.number, record };
    });
    if (settled.length > 0) this.#writeEnded(settled);
    return settled.map(({ record }) => record);
  }

  #writeRunning(record: BuildRecord): void {
    const numbered = this.#number(record);
    this.#translating(() => this.#statements.writeRunning.run(numbered.number, JSON.stringify(record)));
    this.#running.set(record.id, numbered);
  }

  #number(record: BuildRecord): Numbered {
    return { number: this.#running.get(record.id)?.number ?? this.#nextNumber(), record };
  }

  #writeEnded(ended: readonly Numbered[]): void {
    this.#translating(() =>
      this.#run(() => {
        for (const { number, record } of ended) {
          const { id, drvPath, name, status, user, startedAtMs, outputs } = record;
          this.#statements.deleteRunning.run(number);
          const uid = user?.uid ?? null;
          this.#statements.writeEnded.run(number, id, drvPath, name, status, uid, startedAtMs, JSON.stringify(record));
          for (const { path } of Object.values(outputs)) this.#statements.writeOutput.run(path, number);
        }
      }),
    );
    for (const { record } of ended) this.#running.delete(record.id);
  }

  #translating(write: () => void): void {
    try {
      write();
    } catch (error) {
      throw nameDatabaseError(error, this.#connection.name);
    }
  }

  #nextNumber(): number {
    this.#lastNumber += 1;
    return this.#lastNumber;
  }

  /** Before a build that is not known there is none. */
  #numberOf(id: string): number {
    return this.#running.get(id)?.number ?? this.#statements.find.get(id)?.number ?? 0;
  }

  #findStorePath(text: string): StorePath | undefined {
    try {
      return text.startsWith("/") ? parseFullStorePath(this.#directory, text) : parseStorePath(text);
    } catch {
      return undefined; // then it is an id or a name
    }
  }
}

/** What a new owner finds of builds whose end it was not told. */
interface KnownAtStart {
  /** Undefined for a path that is not valid. */
  describe(path: StorePath): BuiltOutput | undefined;
  /** Undefined if the builder wrote nothing that was kept. */
  findLogFile(recordId: string): string | undefined;
}

/** An output as a record has it. */
export function describeOutput(info: Pick<PathInfo, "path" | "narHash" | "narSize">): BuiltOutput {
  return { path: info.path, narHash: printHash(info.narHash, "base32"), narSize: Number(info.narSize) };
}

function isRunning({ status }: BuildRecord): boolean {
  return status === "building" || status === "sealing";
}

/** Outputs that are to be are none yet. */
function withoutPlans(record: BuildRecord): BuildRecord {
  return { ...record, outputs: {} };
}

function readRow({ number, body }: EndedRow): Numbered {
  return { number, record: JSON.parse(body) as BuildRecord }; // written by #writeEnded alone
}

function prepare(connection: Connection) {
  const columns = "select e.number, e.body from EndedBuilds e";
  const newest = "order by e.number desc limit";
  return {
    lastNumber: connection.prepare<[], { readonly number: number | null }>(
      `select max((select coalesce(max(number), 0) from RunningBuilds),
                  (select coalesce(max(number), 0) from EndedBuilds)) as number`,
    ),
    writeRunning: connection.prepare<[number, string]>(
      "insert into RunningBuilds (number, body) values (?, ?) on conflict (number) do update set body = excluded.body",
    ),
    deleteRunning: connection.prepare<[number]>("delete from RunningBuilds where number = ?"),
    running: connection.prepare<[], EndedRow>("select number, body from RunningBuilds order by number"),
    writeEnded: connection.prepare<[number, string, string, string, string, number | null, number, string]>(
      "insert into EndedBuilds (number, id, drvPath, name, status, uid, startedAtMs, body) values (?, ?, ?, ?, ?, ?, ?, ?)",
    ),
    writeOutput: connection.prepare<[string, number]>(
      "insert or ignore into EndedBuildOutputs (path, build) values (?, ?)",
    ),
    amend: connection.prepare<[string, string]>("update EndedBuilds set body = ? where id = ?"),
    find: connection.prepare<[string], EndedRow>(`${columns} where e.id = ?`),
    byOutput: connection.prepare<[string], EndedRow>(
      `${columns} join EndedBuildOutputs o on o.build = e.number where o.path = ? and e.status = 'done' ${newest} 1`,
    ),
  };
}
