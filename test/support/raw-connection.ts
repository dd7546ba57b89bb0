/** A connection that speaks frames as a test wants them, right or wrong. */
import { connect, type Socket } from "node:net";
import { decodeBody, encodeFrame, FrameReader } from "../../daemon/api/frames.ts";
import { type Message, parseMessage, protocolVersion } from "../../daemon/api/messages.ts";

export class RawConnection implements Disposable {
  readonly socket: Socket;
  readonly received: Message[] = [];
  readonly closed: Promise<void>;
  #isClosed = false;
  #wake: () => void = () => {};

  private constructor(socket: Socket) {
    this.socket = socket;
    const reader = new FrameReader();
    socket.on("data", (piece: Buffer) => {
      reader.push(piece, (body) => this.received.push(parseMessage(decodeBody(body))));
      this.#wake();
    });
    socket.on("error", () => {}); // a daemon may close while we write
    this.closed = new Promise((resolve) => {
      socket.on("close", () => {
        this.#isClosed = true;
        this.#wake();
        resolve();
      });
    });
  }

  static async open(path: string): Promise<RawConnection> {
    const socket = connect(path);
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    return new RawConnection(socket);
  }

  /** Opens one and says hello. */
  static async greet(path: string): Promise<RawConnection> {
    const connection = await RawConnection.open(path);
    connection.send(hello);
    await connection.next(({ kind }) => kind === "hello");
    return connection;
  }

  send(...messages: readonly object[]): void {
    this.socket.write(Buffer.concat(messages.map(encodeFrame)));
  }

  write(bytes: Uint8Array): void {
    this.socket.write(bytes);
  }

  /** The first message like this, whether it is there or comes. */
  async next<Found extends Message>(isWanted: (message: Message) => boolean): Promise<Found> {
    for (;;) {
      const found = this.received.find(isWanted);
      if (found !== undefined) return found as Found;
      if (this.#isClosed) throw new Error(`closed after ${JSON.stringify(this.received.map(({ kind }) => kind))}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** The answer to a request. */
  answer(id: number): Promise<Extract<Message, { kind: "result" | "error" }>> {
    return this.next((message) => (message.kind === "result" || message.kind === "error") && message.id === id);
  }

  /** The error that is about the connection. */
  refusal(): Promise<Extract<Message, { kind: "error" }>> {
    return this.next((message) => message.kind === "error" && message.id === undefined);
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

export const hello = { kind: "hello", protocol: protocolVersion, version: "1", buildId: "test", features: [] };
