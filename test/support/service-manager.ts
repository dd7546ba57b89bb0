/** What a service manager does, by Python: it hears datagrams, and starts a program with a socket that listens. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";

/** Hears what is sent to a Unix datagram socket; a name that begins with "@" is an abstract one. */
export class NotifyListener implements AsyncDisposable {
  readonly #child: ChildProcess;
  #heard = "";

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout?.on("data", (bytes: Buffer) => (this.#heard += bytes.toString()));
  }

  static async start(name: string): Promise<NotifyListener> {
    const listener = new NotifyListener(
      spawn("python3", ["-c", listen, name], { stdio: ["pipe", "pipe", "inherit"] }), // it ends with its stdin
    );
    while (!listener.#heard.startsWith("listening\n"))
      await once(listener.#child.stdout as NodeJS.ReadableStream, "data");
    return listener;
  }

  /** The datagrams so far, each as its assignments. */
  get heard(): readonly Readonly<Record<string, string>>[] {
    const lines = this.#heard.split("\n").slice(1, -1);
    return lines.map((line) => {
      const words = (JSON.parse(line) as string).trimEnd().split("\n");
      return Object.fromEntries(words.map((word) => word.split(/=(.*)/s).slice(0, 2) as [string, string]));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#child, "close");
    this.#child.kill("SIGKILL");
    await ended;
  }
}

const listen = `
import json, socket, sys, threading, os
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
name = sys.argv[1]
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("\\0" + name[1:] if name.startswith("@") else name)
print("listening", flush=True)
while True:
    print(json.dumps(s.recv(65536).decode()), flush=True)
`;

/** The arguments of python3 that make it a program with `socket` listening as its descriptor 3, as systemd does. */
export function withListeningSocket(socket: string, program: readonly string[]): string[] {
  return ["-c", activate, socket, ...program];
}

const activate = `
import os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen()
os.dup2(s.fileno(), 3)
os.set_inheritable(3, True)
os.environ["LISTEN_FDS"] = "1"
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
`;
