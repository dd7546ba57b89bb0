/** One request of a connection while it is open: its streams, its events, and whether it is still wanted. */
import { Buffer } from "node:buffer";
import type { CloisterError } from "../../derivations/error.ts";
import type { StorePath } from "../../derivations/store-path.ts";
import { codecOf } from "../api/compiled-codec.ts";
import { ProtocolError } from "../api/errors.ts";
import type { BuildEvent } from "../api/events.ts";
import type { MessageChannel } from "../api/message-channel.ts";
import { type MethodName, methods, type RequestContext } from "../api/msgpack-messages.ts";
import type { ByteStream } from "../api/service.ts";
import { IncomingStream, Window } from "../api/streams.ts";
import { buildEvent } from "../api/wire-values.ts";

/** With this much unsent, log events are left out. */
const eventLimitBytes = 4 * 1024 * 1024;

/** What goes with one request beside its parameters; most of it is made only when it is asked for. */
export class OpenRequest implements RequestContext {
  readonly id: number;
  readonly method: MethodName;
  readonly #channel: MessageChannel;
  #abort: AbortController | undefined;
  #upload: IncomingStream | undefined;
  #window: Window | undefined;
  /** Of the log of each derivation. */
  readonly #skippedBytes = new Map<StorePath, number>();
  #reason: CloisterError | undefined;
  isCancelled = false;

  constructor(id: number, method: MethodName, channel: MessageChannel) {
    this.id = id;
    this.method = method;
    this.#channel = channel;
  }

  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    if (this.isCancelled) this.#abort.abort(this.#reason);
    return this.#abort.signal;
  }

  get upload(): ByteStream {
    return this.#incoming;
  }

  get window(): Window {
    this.#window ??= new Window();
    return this.#window;
  }

  /** A client that reads too slowly misses log lines, and is told so; it never misses what started and ended. */
  readonly onEvent = (event: BuildEvent): Promise<void> | undefined => {
    const { unsentBytes } = this.#channel;
    if (event.kind === "build-log" && unsentBytes > eventLimitBytes) {
      this.#skippedBytes.set(event.drvPath, (this.#skippedBytes.get(event.drvPath) ?? 0) + event.bytes.length);
      return undefined;
    }
    if (event.kind === "build-log" || event.kind === "build-finished") this.#tellSkipped(event);
    this.#sendEvent(event);
    return unsentBytes > eventLimitBytes / 4 ? this.#channel.drained() : undefined; // for who tells of the past
  };

  /** For what is read from files: it goes as the client takes it, and nothing is left out. */
  readonly onPacedEvent = async (event: BuildEvent): Promise<void> => {
    this.#sendEvent(event);
    await this.#channel.drained();
  };

  takeChunk(bytes: Uint8Array): void {
    if (!methods[this.method].upload)
      throw new ProtocolError("PROTOCOL_MESSAGE_INVALID", { reason: `${this.method} has no upload` });
    this.#incoming.push(bytes);
  }

  endUpload(): void {
    this.#incoming.end();
  }

  /** The client wants no answer any more, or is gone. */
  cancel(why: "REQUEST_CANCELLED" | "CLIENT_GONE" = "REQUEST_CANCELLED"): void {
    if (this.isCancelled) return;
    this.isCancelled = true;
    this.#reason = new ProtocolError(why, { method: this.method });
    this.#abort?.abort(this.#reason);
    this.#incoming.end(this.#reason);
    this.window.close();
  }

  close(): void {
    this.#upload?.end();
    this.#window?.close();
  }

  get #incoming(): IncomingStream {
    this.#upload ??= new IncomingStream(this.id, (bytes) => this.#channel.send({ kind: "credit", id: this.id, bytes }));
    return this.#upload;
  }

  #tellSkipped({ drvPath, name }: BuildEvent & { kind: "build-log" | "build-finished" }): void {
    const count = this.#skippedBytes.get(drvPath);
    if (count === undefined) return;
    this.#skippedBytes.delete(drvPath);
    const note = `\n[cloister: ${count} bytes of the log left out here: its reader is too slow]\n`;
    this.#sendEvent({ kind: "build-log", drvPath, name, bytes: Buffer.from(note) });
  }

  #sendEvent(event: BuildEvent): void {
    this.#channel.sendUnhurried({ kind: "event", id: this.id, event: codecOf(buildEvent).encode(event) });
  }
}
