/** A program outside of all jails that offers sockets and shared memory to builders (outside.c). */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";

export class Accomplice implements AsyncDisposable {
  readonly name: string;
  readonly socketPath: string;
  readonly pid: number;
  readonly port: number;
  readonly sharedKey: number;
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(
    child: ChildProcess,
    lines: AsyncIterator<string>,
    name: string,
    socketPath: string,
    ready: string,
  ) {
    const [word, port, key] = ready.split(" ");
    if (word !== "ready" || child.pid === undefined) throw new Error(`the accomplice did not start: ${ready}`);
    this.#child = child;
    this.#lines = lines;
    this.name = name;
    this.socketPath = socketPath;
    this.pid = child.pid;
    this.port = Number(port);
    this.sharedKey = Number(key);
  }

  /** `program` is the compiled outside.c; its socket lies in `folder`. */
  static async start(program: string, folder: string): Promise<Accomplice> {
    const name = `cloister-accomplice-${process.pid}-${Math.floor(performance.now())}`;
    const socketPath = join(folder, "accomplice.socket");
    const child = spawn(program, [name, socketPath], { stdio: ["pipe", "pipe", "inherit"] });
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]();
    const ready = await lines.next();
    return new Accomplice(child, lines, name, socketPath, ready.done ? "it ended" : ready.value);
  }

  /** Has it write to each descriptor it was sent, and tells what it had so far. */
  async write(): Promise<{ connections: number; descriptors: number; written: number }> {
    this.#child.stdin?.write("write\n");
    const line = await this.#lines.next();
    const [connections = Number.NaN, descriptors = Number.NaN, written = Number.NaN] = line.done
      ? []
      : line.value.split(" ").map(Number);
    return { connections, descriptors, written };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#child, "close");
    this.#child.stdin?.end();
    await ended;
  }
}
