/** One connection to a daemon: many requests at once, each with its streams, matched to their answers by id. */
import type { Socket } from "node:net";
import { CloisterError } from "../../derivations/error.ts";
import { thisProgram } from "../api/build-id.ts";
import { ProtocolError } from "../api/errors.ts";
import type { BuildEvent } from "../api/events.ts";
import { MessageChannel } from "../api/message-channel.ts";
import { limits, type Message, type MessageOf, protocolFeatures, protocolVersion } from "../api/messages.ts";
import type { MethodName, Params, Result } from "../api/msgpack-messages.ts";
import type { ByteStream } from "../api/service.ts";
import { IncomingStream, sendStream, Window } from "../api/streams.ts";
import { connectTo } from "./connect-socket.ts";
import { ClientError } from "./errors.ts";
import { decodeEvent, decodeResult, encodeParams } from "./request-values.ts";

export interface RequestOptions {
  readonly signal?: AbortSignal | undefined;
  readonly upload?: ByteStream;
  readonly onEvent?: ((event: BuildEvent) => unknown) | undefined;
}

export interface ConnectionOptions {
  readonly signal?: AbortSignal | undefined;
  /** The last lines of the daemon's log, for the error when it dies; not every client may read it. */
  readonly readLogTail?: () => readonly string[];
}

export type Hello = MessageOf<"hello"> & { readonly daemon: NonNullable<MessageOf<"hello">["daemon"]> };

interface OpenRequest {
  readonly method: MethodName;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly onEvent: ((event: BuildEvent) => unknown) | undefined;
  readonly download: IncomingStream | undefined;
  readonly window: Window | undefined;
  readonly stopListening: () => void;
}

/**
 * Throws the system's error of the connect (ENOENT, ECONNREFUSED, EACCES …), PROTOCOL_VERSION_UNSUPPORTED, DAEMON_GONE,
 * and what a daemon says that refuses the connection.
 */
export async function openConnection(socket: string, options: ConnectionOptions = {}): Promise<Connection> {
  options.signal?.throwIfAborted();
  const raw = await connectTo(socket);
  const connection = new Connection(raw, socket, options);
  const onAbort = () => connection.abandon(options.signal?.reason);
  options.signal?.addEventListener("abort", onAbort, { once: true });
  try {
    await connection.greeted;
  } finally {
    options.signal?.removeEventListener("abort", onAbort);
  }
  return connection;
}

export class Connection {
  readonly socket: string;
  /** Settles when the daemon's hello is there. */
  readonly greeted: Promise<void>;
  /** Resolves when the connection is over, for whatever reason. */
  readonly closed: Promise<void>;
  readonly #channel: MessageChannel;
  readonly #readLogTail: () => readonly string[];
  readonly #open = new Map<number, OpenRequest>();
  readonly #waiting = new Set<() => void>();
  readonly #greeting = Promise.withResolvers<void>();
  readonly #closing = Promise.withResolvers<void>();
  #hello: Hello | undefined;
  #lastId = 0;
  #error: unknown;
  #isClosed = false;

  constructor(raw: Socket, socket: string, options: ConnectionOptions) {
    this.socket = socket;
    this.#readLogTail = options.readLogTail ?? (() => []);
    this.greeted = this.#greeting.promise;
    this.greeted.catch(() => {}); // whoever awaits it gets the error; nobody need to
    this.closed = this.#closing.promise;
    this.#channel = new MessageChannel(raw, {
      onMessage: (message) => this.#receive(message),
      onBroken: (error) => this.abandon(error),
      onClose: () => this.#onClose(),
      messageLimitBytes: limits.answerBytes,
    });
    const { version, buildId } = thisProgram();
    this.#channel.send({ kind: "hello", protocol: protocolVersion, version, buildId, features: [...protocolFeatures] });
  }

  /** What the daemon said of itself. */
  get hello(): Hello {
    if (this.#hello === undefined) throw new Error("the daemon has not said hello yet");
    return this.#hello;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Rejects with what the daemon answers, DAEMON_GONE, or the signal's reason. */
  async request<Name extends MethodName>(
    method: Name,
    params: Params<Name>,
    options: RequestOptions = {},
  ): Promise<Result<Name>> {
    options.signal?.throwIfAborted();
    const sent = encodeParams(method, params);
    if (this.#open.size >= this.hello.daemon.openRequests) await this.#turn(options.signal);
    return this.#start(this.#nextId(), method, sent, options, undefined);
  }

  /** The bytes of a download. The request is made when they are first asked for, and cancelled when they no longer are. */
  async *download<Name extends MethodName>(
    method: Name,
    params: Params<Name>,
    options: RequestOptions = {},
  ): AsyncGenerator<Uint8Array, void, undefined> {
    options.signal?.throwIfAborted();
    const sent = encodeParams(method, params);
    if (this.#open.size >= this.hello.daemon.openRequests) await this.#turn(options.signal);
    const id = this.#nextId();
    const stream = new IncomingStream(
      id,
      (bytes) => this.#sendIfOpen(id, { kind: "credit", id, bytes }),
      () => this.#abort(id, undefined),
    );
    this.#start(id, method, sent, options, stream).then(
      () => stream.end(),
      (error: Error) => stream.end(error),
    );
    yield* stream;
  }

  /** Ends the connection; what is still open is rejected with `error`, by default DAEMON_GONE. */
  abandon(error?: unknown): void {
    this.#error ??= error;
    this.#channel.socket.destroy();
  }

  /** Ends the connection in order, when all that was sent is on its way. */
  async close(): Promise<void> {
    if (!this.#isClosed) this.#channel.close();
    await this.closed;
  }

  #start<Name extends MethodName>(
    id: number,
    method: Name,
    params: unknown,
    options: RequestOptions,
    download: IncomingStream | undefined,
  ): Promise<Result<Name>> {
    const { signal, upload } = options;
    return new Promise((resolve, reject) => {
      if (this.#isClosed) {
        reject(this.#goneError());
        return;
      }
      const onAbort = () => this.#abort(id, signal?.reason);
      signal?.addEventListener("abort", onAbort, { once: true });
      const window = upload === undefined ? undefined : new Window();
      this.#open.set(id, {
        method,
        resolve: resolve as (value: unknown) => void,
        reject,
        onEvent: options.onEvent,
        download,
        window,
        stopListening: () => signal?.removeEventListener("abort", onAbort),
      });
      this.#channel.send({ kind: "request", id, method, params });
      if (upload !== undefined && window !== undefined) this.#upload(id, window, upload);
    });
  }

  #upload(id: number, window: Window, source: ByteStream): void {
    sendStream(this.#channel, id, window, source).then(
      (complete) => complete && this.#sendIfOpen(id, { kind: "end", id }),
      (error: unknown) => this.#abort(id, error),
    );
  }

  /** Rejects a request and tells the daemon that nobody waits for it. */
  #abort(id: number, error: unknown): void {
    const request = this.#take(id);
    if (request === undefined) return;
    this.#channel.send({ kind: "cancel", id });
    request.reject(error ?? new ProtocolError("REQUEST_CANCELLED", { method: request.method }));
  }

  #receive(message: Message): void {
    if (this.#hello === undefined) {
      this.#greet(message);
      return;
    }
    switch (message.kind) {
      case "result": {
        const request = this.#take(message.id);
        if (request === undefined) return; // cancelled meanwhile
        try {
          request.resolve(decodeResult(request.method, message.value));
        } catch (error) {
          request.reject(error);
        }
        return;
      }
      case "error": {
        const { code, message: text, hint, details } = message;
        const error = new CloisterError({ code, message: text, hint, details });
        if (message.id === undefined) this.abandon(error);
        else this.#take(message.id)?.reject(error);
        return;
      }
      case "event": {
        const request = this.#open.get(message.id);
        if (request?.onEvent !== undefined) request.onEvent(decodeEvent(request.method, message.event));
        return;
      }
      case "chunk":
        this.#open.get(message.id)?.download?.push(message.bytes);
        return;
      case "credit":
        this.#open.get(message.id)?.window?.extend(message.bytes);
        return;
      default:
        throw new ProtocolError("PROTOCOL_MESSAGE_INVALID", { reason: `a daemon does not send ${message.kind}` });
    }
  }

  #greet(message: Message): void {
    if (message.kind === "error") {
      this.abandon(new CloisterError(message));
      return;
    }
    if (message.kind !== "hello" || message.daemon === undefined)
      throw new ProtocolError("PROTOCOL_MESSAGE_INVALID", { reason: "a hello was expected from the daemon" });
    if (message.protocol.major !== protocolVersion.major) {
      const older = message.protocol.major > protocolVersion.major ? "client" : "daemon";
      const [ours, theirs] = [protocolVersion, message.protocol].map(({ major, minor }) => `${major}.${minor}`);
      const details = { ours: ours as string, theirs: theirs as string, older } as const;
      this.abandon(new ProtocolError("PROTOCOL_VERSION_UNSUPPORTED", details));
      return;
    }
    this.#hello = { ...message, daemon: message.daemon };
    this.#greeting.resolve();
  }

  #take(id: number): OpenRequest | undefined {
    const request = this.#open.get(id);
    if (request === undefined) return undefined;
    this.#open.delete(id);
    request.window?.close();
    request.stopListening();
    this.#letNextStart();
    return request;
  }

  /** Waits until fewer requests are open than the daemon allows. */
  async #turn(signal: AbortSignal | undefined): Promise<void> {
    while (!this.#isClosed && this.#open.size >= this.hello.daemon.openRequests) {
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
      if (signal?.aborted) this.#letNextStart(); // our turn is the next one's
      signal?.throwIfAborted();
    }
  }

  /** The one that has waited longest: a set keeps the order, and gives up its first without moving the others. */
  #letNextStart(): void {
    for (const proceed of this.#waiting) {
      this.#waiting.delete(proceed);
      proceed();
      return;
    }
  }

  #nextId(): number {
    do this.#lastId = (this.#lastId + 1) % 2 ** 32;
    while (this.#open.has(this.#lastId));
    return this.#lastId;
  }

  #sendIfOpen(id: number, message: Message): void {
    if (this.#open.has(id)) this.#channel.send(message);
  }

  #onClose(): void {
    this.#isClosed = true;
    const error = this.#goneError();
    this.#greeting.reject(error);
    for (const id of [...this.#open.keys()]) this.#take(id)?.reject(error);
    for (const proceed of this.#waiting) proceed();
    this.#waiting.clear();
    this.#closing.resolve();
  }

  #goneError(): unknown {
    this.#error ??= new ClientError("DAEMON_GONE", { socket: this.socket, logTail: this.#readLogTail() });
    return this.#error;
  }
}
