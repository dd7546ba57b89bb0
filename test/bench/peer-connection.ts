/**
 * A raw, warm connection to nix-daemon or guix-daemon, as lean as it can be made in this language: the peers are driven
 * by the same program as cloister, so a row compares daemons and not clients. Source: worker protocol 1.38 (Nix 2.34)
 * and 0x164 (Guix 1.5).
 */
import { connect, type Socket } from "node:net";

export type Flavour = "nix" | "guix";

const clientMagic = 0x6e697863;
const frame = {
  last: 0x616c7473,
  error: 0x63787470,
  next: 0x6f6c6d67,
  start: 0x53545254,
  stop: 0x53544f50,
  result: 0x52534c54,
};

export class PeerConnection implements Disposable {
  readonly flavour: Flavour;
  readonly #socket: Socket;
  #held: Buffer = Buffer.alloc(0);
  #offset = 0;
  #waiting: { bytes: number; resolve: () => void; reject: (error: Error) => void } | undefined;
  #ended: Error | undefined;

  private constructor(flavour: Flavour, socket: Socket) {
    this.flavour = flavour;
    this.#socket = socket;
    socket.on("data", (bytes) => this.#take(bytes));
    socket.on("error", (error) => this.#end(error));
    socket.on("close", () => this.#end(new Error(`${flavour}-daemon closed the connection`)));
  }

  static async open(flavour: Flavour, path: string): Promise<PeerConnection> {
    const socket = connect(path);
    await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    const connection = new PeerConnection(flavour, socket);
    await connection.#handshake();
    return connection;
  }

  /** Adds a text object; resolves to its full path. */
  async addText(name: string, contents: Uint8Array, references: readonly string[]): Promise<string> {
    if (this.flavour === "guix") {
      this.#send(u64(8), string(name), string(contents), list(references));
      await this.#untilLast();
      return this.#string();
    }
    this.#send(u64(7), string(name), string("text:sha256"), list(references), u64(0), ...framed([contents]));
    await this.#untilLast();
    return this.#readPathInfo();
  }

  /** Adds a NAR as a source; resolves to its full path. */
  async addSource(name: string, archive: Iterable<Uint8Array>): Promise<string> {
    if (this.flavour === "guix") this.#send(u64(7), string(name), u64(1), u64(1), string("sha256"));
    else this.#send(u64(7), string(name), string("fixed:r:sha256"), list([]), u64(0));
    for (const piece of archive) {
      const chunks = this.flavour === "guix" ? [piece] : [u64(piece.length), piece];
      for (const chunk of chunks)
        if (!this.#socket.write(chunk)) await new Promise((resolve) => this.#socket.once("drain", resolve));
    }
    if (this.flavour === "nix") this.#socket.write(u64(0));
    await this.#untilLast();
    return this.flavour === "guix" ? this.#string() : this.#readPathInfo();
  }

  /** Builds all outputs of derivations (full paths); rejects when one fails. */
  async build(drvPaths: readonly string[]): Promise<void> {
    const targets = this.flavour === "guix" ? drvPaths : drvPaths.map((path) => `${path}!*`);
    this.#send(u64(9), list(targets), u64(0));
    await this.#untilLast();
    await this.#number();
  }

  async pathInfo(path: string): Promise<void> {
    this.#send(u64(26), string(path));
    await this.#untilLast();
    if (this.flavour === "nix" && (await this.#number()) === 0) throw new Error(`${path} is not valid`);
    await this.#string();
    await this.#string();
    await this.#list();
    await this.#number();
    await this.#number();
    if (this.flavour === "guix") return;
    await this.#number();
    await this.#list();
    await this.#string();
  }

  async validPaths(paths: readonly string[]): Promise<number> {
    this.#send(u64(31), list(paths), ...(this.flavour === "nix" ? [u64(0)] : []));
    await this.#untilLast();
    return (await this.#list()).length;
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  async #handshake(): Promise<void> {
    this.#send(u64(clientMagic));
    await this.#number();
    await this.#number();
    if (this.flavour === "guix") {
      this.#send(u64(0x164), u64(0), u64(0));
      return this.#untilLast();
    }
    this.#send(u64(0x126), list([]));
    await this.#list();
    this.#send(u64(0), u64(0));
    await this.#string();
    await this.#number();
    return this.#untilLast();
  }

  async #untilLast(): Promise<void> {
    for (;;) {
      const kind = await this.#number();
      if (kind === frame.last) return;
      if (kind === frame.error) throw new Error(await this.#readError());
      if (kind === frame.next) await this.#string();
      else if (kind === frame.stop) await this.#number();
      else if (kind === frame.start) {
        for (let field = 0; field < 3; field += 1) await this.#number();
        await this.#string();
        await this.#fields();
        await this.#number();
      } else if (kind === frame.result) {
        await this.#number();
        await this.#number();
        await this.#fields();
      } else throw new Error(`unknown frame ${kind.toString(16)} from ${this.flavour}-daemon`);
    }
  }

  async #readError(): Promise<string> {
    if (this.flavour === "guix") {
      const message = (await this.#string()).toString();
      await this.#number();
      return message;
    }
    await this.#string();
    await this.#number();
    await this.#string();
    const message = await this.#string();
    await this.#number();
    for (let traces = await this.#number(); traces > 0; traces -= 1) {
      await this.#number();
      await this.#string();
    }
    return message;
  }

  async #fields(): Promise<void> {
    for (let left = await this.#number(); left > 0; left -= 1)
      if ((await this.#number()) === 0) await this.#number();
      else await this.#string();
  }

  async #readPathInfo(): Promise<string> {
    const path = await this.#string();
    await this.#string();
    await this.#string();
    await this.#list();
    for (let field = 0; field < 3; field += 1) await this.#number();
    await this.#list();
    await this.#string();
    return path;
  }

  async #number(): Promise<number> {
    if (this.#held.length - this.#offset < 8) await this.#need(8);
    const value = Number(this.#held.readBigUInt64LE(this.#offset));
    this.#offset += 8;
    return value;
  }

  async #string(): Promise<string> {
    const length = await this.#number();
    const padded = length + ((8 - (length % 8)) % 8);
    if (this.#held.length - this.#offset < padded) await this.#need(padded);
    const value = this.#held.toString("latin1", this.#offset, this.#offset + length);
    this.#offset += padded;
    return value;
  }

  async #list(): Promise<string[]> {
    const values: string[] = [];
    for (let left = await this.#number(); left > 0; left -= 1) values.push(await this.#string());
    return values;
  }

  #send(...pieces: Uint8Array[]): void {
    this.#socket.write(Buffer.concat(pieces));
  }

  #take(bytes: Buffer): void {
    this.#held = this.#offset === this.#held.length ? bytes : Buffer.concat([this.#held.subarray(this.#offset), bytes]);
    this.#offset = 0;
    if (this.#waiting !== undefined && this.#held.length >= this.#waiting.bytes) {
      const { resolve } = this.#waiting;
      this.#waiting = undefined;
      resolve();
    }
  }

  #need(bytes: number): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) reject(this.#ended);
      else this.#waiting = { bytes, resolve, reject };
    });
  }

  #end(error: Error): void {
    this.#ended ??= error;
    this.#waiting?.reject(this.#ended);
    this.#waiting = undefined;
  }
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function string(value: string | Uint8Array): Buffer {
  const bytes = typeof value === "string" ? Buffer.from(value, "utf8") : Buffer.from(value);
  return Buffer.concat([u64(bytes.length), bytes, Buffer.alloc((8 - (bytes.length % 8)) % 8)]);
}

function list(values: readonly string[]): Buffer {
  return Buffer.concat([u64(values.length), ...values.map(string)]);
}

function framed(pieces: readonly Uint8Array[]): Buffer[] {
  return [...pieces.flatMap((piece) => [u64(piece.length), Buffer.from(piece)]), u64(0)];
}
