/** A daemon in this process: a real store and launcher below a temporary directory, and a real socket. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Caller } from "../../daemon/api/service.ts";
import { Client } from "../../daemon/client/client.ts";
import { openConnection } from "../../daemon/client/connection.ts";
import { LastingConnection } from "../../daemon/client/lasting-connection.ts";
import { Daemon, type DaemonOptions } from "../../daemon/server/daemon.ts";
import { type LocalService, type LocalServiceOptions, openLocalService } from "../../daemon/server/local-service.ts";
import { openLogger } from "../../daemon/server/logger.ts";
import { makeTrustPolicy } from "../../daemon/server/trust.ts";
import { makeRemovable } from "./temporary-store.ts";

const nobody = { uids: [], gids: [] };

export interface TestDaemonOptions extends Partial<DaemonOptions> {
  /** As whom the service sees every connection, in place of what the kernel says. */
  readonly caller?: Caller;
  /** The directory of an earlier one, whose store is opened again; by default a new one. */
  readonly root?: string;
  readonly maxJobs?: number;
  /** By uid. */
  readonly shares?: ReadonlyMap<number, number>;
  readonly retention?: LocalServiceOptions["retention"];
}

export class TestDaemon implements AsyncDisposable {
  readonly root: string;
  readonly socket: string;
  readonly service: LocalService;
  readonly daemon: Daemon;

  private constructor(root: string, service: LocalService, options: TestDaemonOptions) {
    this.root = root;
    this.socket = join(root, "socket");
    this.service = service;
    const ownUid = process.getuid?.() ?? 0;
    const { caller } = options;
    const trust = caller
      ? { trustedUids: new Set<number>(caller.trusted ? [ownUid] : []), allowedUids: new Set([ownUid]) }
      : makeTrustPolicy(ownUid, { allowed: nobody, trusted: nobody });
    const log = openLogger("silent", { readable: false });
    this.daemon = new Daemon({
      ...{ service, socket: this.socket, mode: 0o600, trust, maxConnections: 100, idleExitMs: 0, log },
      ...options,
    });
  }

  static async start(options: TestDaemonOptions = {}): Promise<TestDaemon> {
    const {
      root = mkdtempSync(join(tmpdir(), "cloister-daemon-")),
      maxJobs = 2,
      retention = {},
      shares = new Map(),
    } = options;
    const service = await openLocalService({
      ...{ root, maxJobs, retention, shares },
      countConnections: () => test.daemon.connections,
      onShutdown: (drainMs) => test.daemon.stop(drainMs),
    });
    const test = new TestDaemon(root, service, options);
    await test.daemon.start();
    return test;
  }

  async connect(): Promise<Client> {
    return new Client(new LastingConnection(await openConnection(this.socket)));
  }

  /** Ends it in order, and starts the next one over the same store. */
  async restart(options: TestDaemonOptions = {}): Promise<TestDaemon> {
    this.daemon.stop(0);
    await this.daemon.stopped;
    return TestDaemon.start({ ...options, root: this.root });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.daemon.stop(0);
    await this.daemon.stopped;
    await makeRemovable(this.root);
    rmSync(this.root, { recursive: true, force: true });
  }
}
