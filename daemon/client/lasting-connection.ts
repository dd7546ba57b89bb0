/**
 * A connection that outlives its daemon: when it has gone, the next request opens another one. What was asked for and not
 * answered is asked again only where that changes nothing, and what this client holds is held again before anything else.
 */
import type { MethodName, Params, Result } from "../api/msgpack-messages.ts";
import type { Connection, Hello, RequestOptions } from "./connection.ts";
import { ClientError } from "./errors.ts";
import { HeldPaths, isRepeatable } from "./repeatable.ts";

export interface Reconnecting {
  /** Finds or starts a daemon of the same store. */
  readonly open: () => Promise<Connection>;
  readonly onReconnected?: (() => void) | undefined;
}

export class LastingConnection {
  readonly #how: Reconnecting | undefined;
  readonly #held = new HeldPaths();
  #current: Connection;
  #opening: Promise<Connection> | undefined;
  /** It was ended by us, or the daemon was asked to end: nobody wants another one. */
  #isOver = false;

  /** Without `how` it ends with its first daemon. */
  constructor(first: Connection, how?: Reconnecting) {
    this.#current = first;
    this.#how = how;
  }

  get socket(): string {
    return this.#current.socket;
  }

  get hello(): Hello {
    return this.#current.hello;
  }

  /** Resolves when the connection that there is now is over. */
  get closed(): Promise<void> {
    return this.#current.closed;
  }

  /** Rejects with what the daemon answers, DAEMON_GONE, CLIENT_LEASES_LOST, or the signal's reason. */
  async request<Name extends MethodName>(
    method: Name,
    params: Params<Name>,
    options: RequestOptions = {},
  ): Promise<Result<Name>> {
    const connection = await this.#connected(options.signal);
    if (method === "shutdown") this.#isOver = true;
    let result: Result<Name>;
    try {
      result = await connection.request(method, params, options);
    } catch (error) {
      if (!this.#mayRepeat(method, error, options)) throw error;
      result = await (await this.#connected(options.signal)).request(method, params, options);
    }
    if (this.#how !== undefined) this.#held.note(method, params, result);
    return result;
  }

  /** As `Connection.download`; begun again as long as no byte has come. */
  async *download<Name extends MethodName>(
    method: Name,
    params: Params<Name>,
    options: RequestOptions = {},
  ): AsyncGenerator<Uint8Array, void, undefined> {
    let hasBegun = false;
    try {
      for await (const bytes of (await this.#connected(options.signal)).download(method, params, options)) {
        hasBegun = true;
        yield bytes;
      }
      return;
    } catch (error) {
      if (hasBegun || !this.#mayRepeat(method, error, options)) throw error;
    }
    yield* (await this.#connected(options.signal)).download(method, params, options);
  }

  async close(): Promise<void> {
    this.#isOver = true;
    await this.#current.close();
  }

  #mayRepeat(method: MethodName, error: unknown, options: RequestOptions): boolean {
    if (!(error instanceof ClientError) || error.code !== "DAEMON_GONE") return false;
    return isRepeatable(method) && this.#how !== undefined && !this.#isOver && !options.signal?.aborted;
  }

  /** The connection that there is, or another one in its place. */
  async #connected(signal: AbortSignal | undefined): Promise<Connection> {
    if (!this.#current.isClosed || this.#how === undefined || this.#isOver) return this.#current;
    this.#opening ??= this.#reopen(this.#how).finally(() => {
      this.#opening = undefined;
    });
    return unlessAborted(this.#opening, signal);
  }

  /** For all requests that wait for it, so none of their signals ends it. */
  async #reopen(how: Reconnecting): Promise<Connection> {
    const { storeDirectory } = this.hello.daemon;
    const connection = await how.open();
    if (connection.hello.daemon.storeDirectory !== storeDirectory) {
      await connection.close();
      throw new ClientError("DAEMON_OF_ANOTHER_STORE", {
        ...{ socket: connection.socket, expected: storeDirectory },
        found: connection.hello.daemon.storeDirectory,
      });
    }
    const { lost, forgotten } = await this.#held.holdAgain(connection);
    this.#current = connection;
    const count = lost.length + forgotten;
    const { socket } = connection;
    if (count > 0) throw new ClientError("CLIENT_LEASES_LOST", { socket, count, paths: lost.slice(0, 10) });
    how.onReconnected?.();
    return connection;
  }
}

async function unlessAborted<Value>(promise: Promise<Value>, signal: AbortSignal | undefined): Promise<Value> {
  if (signal === undefined) return promise;
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
