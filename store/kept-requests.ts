/**
 * Requests that go on without their client, in cloister.sqlite: what was asked for, what has happened, how it ended. What
 * the blobs hold is their owner's to say.
 */
import { type Connection, nameDatabaseError } from "./database.ts";

export interface KeptRequest {
  readonly id: string;
  /** Who asked. */
  readonly uid: number;
  readonly gid: number;
  /** Milliseconds since 1970. */
  readonly startedAtMs: number;
  readonly asked: Uint8Array;
}

export interface EndedRequest extends KeptRequest {
  readonly endedAtMs: number;
  readonly ending: Uint8Array;
}

export class KeptRequests {
  readonly #connection: Connection;
  readonly #statements;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.#statements = prepare(connection);
  }

  /** Throws STORE_DISK_FULL, STORE_DATABASE_UNUSABLE, as the others do. */
  insert({ id, uid, gid, startedAtMs, asked }: KeptRequest): void {
    this.#writing(() => this.#statements.insert.run(id, uid, gid, startedAtMs, asked));
  }

  /** What happened next, from `firstNumber` on; and how it ended, if it has. */
  append(
    id: string,
    firstNumber: number,
    events: readonly Uint8Array[],
    end?: Pick<EndedRequest, "endedAtMs" | "ending">,
  ): void {
    this.#writing(() =>
      this.#connection.transaction(() => {
        for (const [index, event] of events.entries()) this.#statements.append.run(id, firstNumber + index, event);
        if (end !== undefined) this.#statements.end.run(end.endedAtMs, end.ending, id);
      })(),
    );
  }

  delete(id: string): void {
    this.#writing(() => this.#statements.delete.run(id));
  }

  find(id: string): KeptRequest | EndedRequest | undefined {
    const row = this.#statements.find.get(id);
    return row && readRow(row);
  }

  /** The oldest first. */
  list(): (KeptRequest | EndedRequest)[] {
    return this.#statements.list.all().map(readRow);
  }

  /** Up to so many events from number `from` on. */
  events(id: string, from: number, limit: number): Uint8Array[] {
    return this.#statements.events.all(id, from, limit).map(({ event }) => event);
  }

  #writing(write: () => void): void {
    try {
      write();
    } catch (error) {
      throw nameDatabaseError(error, this.#connection.name);
    }
  }
}

interface Row extends KeptRequest {
  readonly endedAtMs: number | null;
  readonly ending: Uint8Array | null;
}

function readRow({ endedAtMs, ending, ...kept }: Row): KeptRequest | EndedRequest {
  return endedAtMs === null || ending === null ? kept : { ...kept, endedAtMs, ending };
}

function prepare(connection: Connection) {
  const columns = "select id, uid, gid, startedAtMs, endedAtMs, asked, ending from KeptRequests";
  return {
    insert: connection.prepare<[string, number, number, number, Uint8Array]>(
      "insert into KeptRequests (id, uid, gid, startedAtMs, asked) values (?, ?, ?, ?, ?)",
    ),
    append: connection.prepare<[string, number, Uint8Array]>(
      "insert or replace into KeptEvents (request, number, event) values (?, ?, ?)",
    ),
    end: connection.prepare<[number, Uint8Array, string]>(
      "update KeptRequests set endedAtMs = ?, ending = ? where id = ?",
    ),
    delete: connection.prepare<[string]>("delete from KeptRequests where id = ?"),
    find: connection.prepare<[string], Row>(`${columns} where id = ?`),
    list: connection.prepare<[], Row>(`${columns} order by startedAtMs, id`),
    events: connection.prepare<[string, number, number], { readonly event: Uint8Array }>(
      "select event from KeptEvents where request = ? and number >= ? order by number limit ?",
    ),
  };
}
