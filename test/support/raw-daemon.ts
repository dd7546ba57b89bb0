/** The daemon's end of the protocol as a test wants it, right or wrong, in place of a daemon of ours. */
import { mkdirSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { dirname } from "node:path";
import { decodeBody, encodeFrame, FrameReader } from "../../daemon/api/frames.ts";
import { limits, type Message, parseMessage, protocolVersion } from "../../daemon/api/messages.ts";

export type Answer = (message: Message, say: (...messages: object[]) => void, socket: Socket) => void;

export class RawDaemon implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #path: string;

  private constructor(path: string, server: Server) {
    this.#path = path;
    this.#server = server;
  }

  static async start(path: string, answer: Answer): Promise<RawDaemon> {
    mkdirSync(dirname(path), { recursive: true });
    const server = createServer();
    const daemon = new RawDaemon(path, server);
    server.on("connection", (socket) => daemon.#serve(socket, answer));
    server.listen(path);
    await new Promise((resolve) => server.once("listening", resolve));
    return daemon;
  }

  #serve(socket: Socket, answer: Answer): void {
    this.#sockets.add(socket);
    const reader = new FrameReader();
    const say = (...messages: object[]) => void socket.write(Buffer.concat(messages.map(encodeFrame)));
    socket.on("data", (piece: Buffer) =>
      reader.push(piece, (body) => answer(parseMessage(decodeBody(body)), say, socket)),
    );
    socket.on("error", () => {}); // a client may leave when it likes
  }

  /** Ends it as a daemon ends: the socket's file first, then the connections. */
  end(): void {
    rmSync(this.#path, { force: true });
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.end();
  }
}

/** A hello of a daemon; by default of another build of the program than ours. */
export function daemonHello(more: object = {}): object {
  return {
    ...{ kind: "hello", protocol: protocolVersion, version: "0.0.1", buildId: "another", features: [] },
    daemon: {
      ...{ role: "trusted", pid: 4_000_000, storeDirectory: "/cloister/store" },
      ...{ openRequests: limits.openRequests, windowBytes: limits.windowBytes, messageBytes: limits.messageBytes },
    },
    ...more,
  };
}
