/** Finds the records of builds that have ended, newest first, by columns that have an index; and says which are meant. */
import type { Statement } from "better-sqlite3";
import type { BuildQuery, BuildRecord } from "../derivations/build-record.ts";
import type { StorePath } from "../derivations/store-path.ts";
import type { Connection } from "./database.ts";

export interface EndedRow {
  readonly number: number;
  readonly body: string;
}

/** How many are found at a time: they are read and sent in one go, and everyone else waits for that. */
export const mostRecords = 1000;

type Value = string | number;

export class BuildSearch {
  readonly #connection: Connection;
  /** By their text: there are as many as combinations of what can be asked for. */
  readonly #statements = new Map<string, ReturnType<typeof prepare>>();

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** `path` is what the query's text names, if it names a store path; `before` a record's number. */
  find(query: BuildQuery, path: StorePath | undefined, before: number | undefined): EndedRow[] {
    const { conditions, values } = conditionsOf(query, path, before);
    const where = conditions.length === 0 ? "" : `where ${conditions.join(" and ")}`;
    const sql = `select e.number, e.body from EndedBuilds e ${where} order by e.number desc limit ?`;
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = prepare(this.#connection, sql);
      this.#statements.set(sql, statement);
    }
    return statement.all(...values, Math.min(query.limit, mostRecords));
  }
}

/**
 * The newest build of a name that was done, whatever its version: "hello" finds "hello" and "hello-2.12", and not
 * "hello-doc-2.12". By the index of names; made when it is first asked.
 */
export class NewestDone {
  readonly #connection: Connection;
  #statement: Statement<[{ readonly name: string }], EndedRow> | undefined;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  find(name: string): EndedRow | undefined {
    // "." is the character after "-", so the second range holds whatever begins with the name and a dash.
    this.#statement ??= this.#connection.prepare<[{ readonly name: string }], EndedRow>(
      `select e.number, e.body from EndedBuilds e indexed by EndedBuildsByName
       where (e.name = @name or (e.name >= @name || '-' and e.name < @name || '.' and substr(e.name, length(@name) + 2, 1) not glob '[a-zA-Z]'))
         and e.status = 'done'
       order by e.number desc limit 1`,
    );
    return this.#statement.get({ name });
  }
}

/** The same question to one record, for those that run. */
export function isMeant(record: BuildRecord, query: BuildQuery, path: StorePath | undefined): boolean {
  const { id, name, drvPath, startedAtMs } = record;
  const { text = "", status, uid, sinceMs, untilMs } = query;
  if (status !== undefined && record.status !== status) return false;
  if (uid !== undefined && record.user?.uid !== uid) return false;
  if (sinceMs !== undefined && startedAtMs < sinceMs) return false;
  if (untilMs !== undefined && startedAtMs > untilMs) return false;
  if (text === "") return true;
  if (path !== undefined) return drvPath === path;
  return id === text || name === text || name.toLowerCase().startsWith(`${text.toLowerCase()}-`); // as `like` has it
}

function conditionsOf({ text = "", status, uid, sinceMs, untilMs }: BuildQuery, path?: StorePath, before?: number) {
  const conditions: string[] = [];
  const values: Value[] = [];
  const add = (condition: string, ...more: Value[]): void => {
    conditions.push(condition);
    values.push(...more);
  };
  if (path !== undefined)
    add(
      "(e.drvPath = ? or (e.status = 'done' and e.number in (select build from EndedBuildOutputs where path = ?)))",
      ...[path, path],
    );
  else if (text !== "")
    add("(e.id = ? or e.name = ? or e.name like ? escape '\\')", text, text, `${escapeLike(text)}-%`);
  // The second half makes the index of those that are not done usable.
  if (status !== undefined) add(status === "done" ? "e.status = ?" : "e.status = ? and e.status <> 'done'", status);
  if (uid !== undefined) add("e.uid = ?", uid);
  // Numbers are given in the order of the starts, so a time is a bound on them, too, and nothing past it is looked at.
  if (sinceMs !== undefined) {
    add("e.startedAtMs >= ?", sinceMs);
    add("e.number >= (select number from EndedBuilds where startedAtMs >= ? order by startedAtMs limit 1)", sinceMs);
  }
  if (untilMs !== undefined) {
    add("e.startedAtMs <= ?", untilMs);
    add(
      "e.number <= (select number from EndedBuilds where startedAtMs <= ? order by startedAtMs desc, number desc limit 1)",
      untilMs,
    );
  }
  if (before !== undefined) add("e.number < ?", before);
  return { conditions, values };
}

function escapeLike(text: string): string {
  return text.replace(/[\\%_]/g, "\\$&");
}

function prepare(connection: Connection, sql: string) {
  return connection.prepare<Value[], EndedRow>(sql);
}
