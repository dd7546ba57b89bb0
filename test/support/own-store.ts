/** A user's own store in a temporary directory, whose daemon is started by whoever needs it, and is ended here. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { logFileOf, socketOf } from "../../daemon/api/socket-place.ts";
import type { Client } from "../../daemon/client/client.ts";
import { type ConnectOptions, connect } from "../../daemon/client/find-daemon.ts";
import { makeRemovable } from "./temporary-store.ts";

export class OwnStore implements AsyncDisposable {
  readonly root: string;
  readonly #top = mkdtempSync(join(tmpdir(), "cloister-own-"));

  /** `below` is made too: for a root at the end of a long path. */
  constructor(below = "") {
    this.root = join(this.#top, below);
  }

  get socket(): string {
    return socketOf({ root: this.root });
  }

  /** What the daemon has logged so far. */
  get log(): string {
    const file = logFileOf({ root: this.root });
    return existsSync(file) ? readFileSync(file, "utf8") : "";
  }

  connect(options: ConnectOptions = {}): Promise<Client> {
    return connect({ root: this.root, ...options });
  }

  /** Ends the daemon, if there is one, and waits until its process is gone. */
  async endDaemon(): Promise<void> {
    let client: Client;
    try {
      client = await this.connect({ start: false });
    } catch {
      return; // there is none
    }
    const { pid } = await client.status();
    await client.shutdown({ drainMs: 0 });
    await client.closed;
    while (isRunning(pid)) await new Promise((resolve) => setTimeout(resolve, 10));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.endDaemon();
    await makeRemovable(this.#top);
    rmSync(this.#top, { recursive: true, force: true });
  }
}

export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^State:\s*Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}
