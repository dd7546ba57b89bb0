/**
 * One connection of the msgpack protocol, on the daemon's side: hello, then requests over the table of methods. What
 * is wrong in a request is that request's error; what is wrong in the framing or the order of messages ends this
 * connection alone. When the client is gone, its requests are cancelled and its leases given back.
 */
import type { Socket } from "node:net";
import { CloisterError, type ErrorData } from "../../derivations/error.ts";
import type { StoreDirectory } from "../../derivations/store-path.ts";
import { thisProgram } from "../api/build-id.ts";
import { codecOf, noMatch } from "../api/compiled-codec.ts";
import { ProtocolError } from "../api/errors.ts";
import { MessageChannel } from "../api/message-channel.ts";
import { limits, type Message, type MessageOf, protocolFeatures, protocolVersion } from "../api/messages.ts";
import { isMethodName, type Method, type MethodName, methods } from "../api/msgpack-messages.ts";
import { plainDetails } from "../api/plain-details.ts";
import type { AnySchema } from "../api/schema.ts";
import type { ByteStream, Caller, Service } from "../api/service.ts";
import { sendStream } from "../api/streams.ts";
import { findFault } from "../api/zod-of-schema.ts";
import type { AuditEntry, AuditLog } from "./audit-log.ts";
import { ServerError } from "./errors.ts";
import { errorFields, type Logger } from "./logger.ts";
import { OpenRequest } from "./open-request.ts";
import { auditDetails, authorise, isRefusal } from "./trust.ts";

export interface SessionOptions {
  readonly caller: Caller;
  readonly storeDirectory: StoreDirectory;
  readonly log: Logger;
  /** Of what was refused, and of what only the trusted may do. */
  readonly audit?: AuditLog;
  /** Which connection of this daemon it is; with a request's own id it names the request in the log and in errors. */
  readonly connection: number;
  /** Opens the service for this caller when the hello is there; disposed, with its leases, when the session is over. */
  readonly openService: () => Service;
  /** Once, when the connection is closed and all that it asked for has ended. */
  readonly onEnd: () => void;
  /** A request was answered. */
  readonly onAnswered?: () => void;
}

/** How long a client may take to say hello. */
const helloTimeoutMs = 10_000;
/** With this much unsent, nothing more is read. */
const unsentLimitBytes = 8 * 1024 * 1024;

export class MsgpackSession {
  readonly #options: SessionOptions;
  readonly #channel: MessageChannel;
  readonly #requests = new Map<number, OpenRequest>();
  readonly #helloTimer: NodeJS.Timeout;
  /** Called when its last open request is answered. */
  onIdle: (() => void) | undefined;
  #service: Service | undefined;
  #isClosed = false;
  #isOver = false;
  /** Set when the daemon is ending: other requests that come now are refused. */
  #stillAllowed: ReadonlySet<MethodName> | undefined;

  constructor(socket: Socket, options: SessionOptions) {
    this.#options = options;
    this.#channel = new MessageChannel(socket, {
      onMessage: (message) => this.#receive(message),
      onBroken: (error) => this.refuse(error),
      onClose: () => this.#onClose(),
      messageLimitBytes: limits.messageBytes,
      unsentLimitBytes,
    });
    this.#helloTimer = setTimeout(() => this.close(), helloTimeoutMs);
    this.#helloTimer.unref();
  }

  /** Whether it waits for an answer. */
  get isBusy(): boolean {
    return this.#requests.size > 0;
  }

  /** Tells the client why, and closes the connection. */
  refuse(error: CloisterError): void {
    if (this.#isClosed) return;
    if (isRefusal(error)) this.#audit("refused", "connect", { code: error.code });
    this.#options.log.warn(
      { pid: this.#options.caller.pid, uid: this.#options.caller.uid, ...errorFields(error) },
      "connection refused",
    );
    this.#channel.send({ kind: "error", ...plainError(error) });
    this.close();
  }

  /** New requests are refused from now on: all, or all but those that ask how the ending goes. */
  stop({ altogether }: { readonly altogether: boolean } = { altogether: false }): void {
    this.#stillAllowed = altogether ? new Set() : allowedWhileStopping;
  }

  close(): void {
    this.#channel.close();
  }

  #receive(message: Message): void {
    if (this.#service === undefined) {
      this.#greet(message);
      return;
    }
    switch (message.kind) {
      case "request":
        this.#onRequest(message);
        return;
      case "cancel":
        this.#requests.get(message.id)?.cancel();
        return;
      case "chunk":
        this.#requests.get(message.id)?.takeChunk(message.bytes);
        return;
      case "end":
        this.#requests.get(message.id)?.endUpload();
        return;
      case "credit":
        this.#requests.get(message.id)?.window.extend(message.bytes);
        return;
      default:
        throw new ProtocolError("PROTOCOL_MESSAGE_INVALID", { reason: `a client does not send ${message.kind} here` });
    }
  }

  #greet(message: Message): void {
    if (message.kind !== "hello")
      throw new ProtocolError("PROTOCOL_MESSAGE_INVALID", { reason: "a hello was expected" });
    clearTimeout(this.#helloTimer);
    const { major, minor } = message.protocol;
    const { caller, storeDirectory } = this.#options;
    this.#channel.send({
      kind: "hello",
      protocol: protocolVersion,
      ...versionOfThis(),
      features: [...protocolFeatures],
      daemon: {
        role: caller.trusted ? "trusted" : "any",
        pid: process.pid,
        storeDirectory,
        openRequests: limits.openRequests,
        windowBytes: limits.windowBytes,
        messageBytes: limits.messageBytes,
      },
    });
    if (major !== protocolVersion.major) {
      throw new ProtocolError("PROTOCOL_VERSION_UNSUPPORTED", {
        ours: `${protocolVersion.major}.${protocolVersion.minor}`,
        theirs: `${major}.${minor}`,
        older: major < protocolVersion.major ? "client" : "daemon",
      });
    }
    this.#service = this.#options.openService();
  }

  #onRequest({ id, method, params }: MessageOf<"request">): void {
    if (this.#requests.has(id))
      throw new ProtocolError("PROTOCOL_MESSAGE_INVALID", { reason: `the id ${id} is in use` });
    try {
      if (this.#requests.size >= limits.openRequests)
        throw new ProtocolError("PROTOCOL_TOO_MANY_REQUESTS", { limit: limits.openRequests });
      if (!isMethodName(method)) throw new ProtocolError("PROTOCOL_METHOD_UNKNOWN", { method });
      authorise(method, this.#options.caller);
      if (this.#stillAllowed?.has(method) === false) throw new ServerError("DAEMON_STOPPING", {});
      const decoded = decodeParams(method, params);
      const details = auditDetails(method, decoded, this.#options.caller);
      if (details !== undefined) this.#audit("allowed", method, details);
      this.#dispatch(id, method, decoded);
    } catch (error) {
      this.#sendError(id, method, error);
    }
  }

  #dispatch(id: number, method: MethodName, params: unknown): void {
    const row = methods[method] as Method<unknown, unknown>;
    const request = new OpenRequest(id, method, this.#channel);
    this.#requests.set(id, request);
    let answer: Promise<unknown> | ByteStream;
    try {
      answer = row.invoke(this.#service as Service, params, request);
    } catch (error) {
      this.#fail(request, error);
      return;
    }
    const value = answer instanceof Promise ? answer : this.#download(request, answer);
    value.then(
      (result) => this.#answer(request, row, result),
      (error: unknown) => this.#fail(request, error),
    );
  }

  async #download(request: OpenRequest, bytes: ByteStream): Promise<null> {
    const complete = await sendStream(this.#channel, request.id, request.window, bytes);
    if (!complete) throw new ProtocolError("REQUEST_CANCELLED", { method: request.method });
    return null;
  }

  #answer(request: OpenRequest, row: Method<unknown, unknown>, result: unknown): void {
    try {
      this.#channel.send({ kind: "result", id: request.id, value: codecOf(row.result).encode(result) });
    } catch (error) {
      this.#fail(request, error);
      return;
    }
    this.#finish(request);
  }

  #fail(request: OpenRequest, error: unknown): void {
    const cancelled = request.isCancelled && !(error instanceof CloisterError);
    this.#sendError(
      request.id,
      request.method,
      cancelled ? new ProtocolError("REQUEST_CANCELLED", { method: request.method }) : error,
    );
    this.#finish(request);
  }

  #sendError(id: number, method: string, error: unknown): void {
    const request = `${this.#options.connection}/${id}`;
    if (!(error instanceof CloisterError))
      this.#options.log.error({ request, method, ...errorFields(error) }, "a request failed unexpectedly");
    if (isRefusal(error)) this.#audit("refused", method, { request, code: error.code, ...error.details });
    const known = error instanceof CloisterError ? error : unexpected(method, error, request);
    this.#channel.send({ kind: "error", id, ...plainError(known) });
  }

  #audit(outcome: AuditEntry["outcome"], operation: string, details: Readonly<Record<string, unknown>>): void {
    this.#options.audit?.note({ outcome, operation, caller: this.#options.caller, details });
  }

  #finish(request: OpenRequest): void {
    request.close();
    this.#requests.delete(request.id);
    this.#options.onAnswered?.();
    if (this.#requests.size === 0) this.onIdle?.();
    this.#endIfOver();
  }

  #onClose(): void {
    this.#isClosed = true;
    clearTimeout(this.#helloTimer);
    for (const request of this.#requests.values()) request.cancel("CLIENT_GONE");
    this.#endIfOver();
  }

  #endIfOver(): void {
    if (!this.#isClosed || this.#isOver || this.#requests.size > 0) return;
    this.#isOver = true;
    const { log, onEnd } = this.#options;
    Promise.resolve(this.#service?.[Symbol.asyncDispose]())
      .catch((error: unknown) => log.error(errorFields(error), "a connection's leases were not given back"))
      .finally(onEnd);
  }
}

/** What a client may still ask while the daemon is ending: how it goes, and for the logs of what is running. */
const allowedWhileStopping: ReadonlySet<MethodName> = new Set<MethodName>([
  "status",
  "queryActivity",
  "cancel",
  "shutdown",
  "readLog",
  "queryBuildRecords",
]);

function decodeParams(method: MethodName, params: unknown): unknown {
  const schema: AnySchema = methods[method].params;
  const decoded = codecOf(schema).decode(params);
  if (decoded !== noMatch) return decoded;
  throw new ProtocolError("PROTOCOL_PARAMS_INVALID", { method, ...findFault(schema, params) });
}

function unexpected(method: string, error: unknown, request: string): CloisterError {
  const reason = error instanceof Error ? error.message : String(error);
  return new ProtocolError("INTERNAL_ERROR", { method, reason, request }, { cause: error });
}

function plainError(error: CloisterError): ErrorData & { details: Record<string, unknown> } {
  return { ...error.toData(), details: plainDetails(error.details) };
}

function versionOfThis(): { readonly version: string; readonly buildId: string } {
  const { version, buildId } = thisProgram();
  return { version, buildId };
}
