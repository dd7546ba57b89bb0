/**
 * One running daemon: the service, its socket and the connections to it. It ends when it is told to, when nobody has
 * been connected for a while, or when its launcher has died; running builds are then given some time first.
 */
import type { Socket } from "node:net";
import type { Caller } from "../api/service.ts";
import type { AuditLog } from "./audit-log.ts";
import { ServerError } from "./errors.ts";
import { type Listener, listen } from "./listen.ts";
import type { LocalService } from "./local-service.ts";
import { errorFields, type Logger } from "./logger.ts";
import { MsgpackSession } from "./msgpack-session.ts";
import { SpareMemory } from "./spare-memory.ts";
import { admit, isTrusted, type PeerCredentials, type TrustPolicy } from "./trust.ts";

export interface DaemonOptions {
  readonly service: LocalService;
  readonly socket: string;
  /** That listens already, in place of one made at `socket`. */
  readonly listenDescriptor?: number;
  readonly mode: number;
  readonly trust: TrustPolicy;
  readonly maxConnections: number;
  /** 0: never. */
  readonly idleExitMs: number;
  readonly log: Logger;
  /** Once, when it begins to end. */
  readonly onStopping?: (drainMs: number) => void;
  readonly audit?: AuditLog;
}

type ChangingCaller = { -readonly [Field in keyof Caller]: Caller[Field] };

/** How long connections may take to get their last answers once no build runs any more. */
const goodbyeMs = 2000;

export class Daemon {
  #options: DaemonOptions;
  /** With who is at the other end, whose trust may change while it is connected. */
  readonly #sessions = new Map<MsgpackSession, { readonly peer: PeerCredentials; readonly caller: ChangingCaller }>();
  readonly #stopped = Promise.withResolvers<void>();
  readonly #spareMemory = new SpareMemory();
  #listener: Listener | undefined;
  #isStopping = false;
  #connectionCount = 0;
  #idleTimer: NodeJS.Timeout | undefined;
  #onSessionEnd: (() => void) | undefined;

  constructor(options: DaemonOptions) {
    this.#options = options;
  }

  /** Resolves when it has ended: the socket is gone, all connections are closed, and so is the store. */
  get stopped(): Promise<void> {
    return this.#stopped.promise;
  }

  get isStopping(): boolean {
    return this.#isStopping;
  }

  get connections(): number {
    return this.#sessions.size;
  }

  /** Throws SOCKET_IN_USE, SOCKET_UNUSABLE. */
  async start(): Promise<void> {
    const { socket, mode, log, listenDescriptor: descriptor } = this.#options;
    this.#listener = await listen({
      socket,
      ...(descriptor !== undefined && { descriptor }),
      mode,
      onConnection: (raw, peer) => this.#welcome(raw, peer),
      onError: (error) => log.error(errorFields(error), "a connection was not accepted"),
    });
    this.#watchIdle();
  }

  /**
   * From now on. A connected user who is trusted no more is not from the next request on; one who may not connect any
   * more keeps the connections that there are, so that no build is lost.
   */
  reconfigure(changes: Pick<DaemonOptions, "trust" | "mode" | "maxConnections" | "idleExitMs">): void {
    this.#options = { ...this.#options, ...changes };
    this.#listener?.setMode(changes.mode);
    for (const { peer, caller } of this.#sessions.values()) caller.trusted = isTrusted(changes.trust, peer);
    this.#watchIdle();
  }

  /** Ends it; a second call can only shorten the time that builds are given. */
  stop(drainMs: number): void {
    const { log, service } = this.#options;
    if (this.#isStopping) {
      void service.drain(drainMs);
      return;
    }
    this.#isStopping = true;
    clearTimeout(this.#idleTimer);
    this.#spareMemory.stop();
    this.#options.onStopping?.(drainMs);
    log.info({ runningBuilds: service.runningBuilds, drainMs }, "ending");
    this.#finish(drainMs).then(this.#stopped.resolve, this.#stopped.reject);
  }

  async #finish(drainMs: number): Promise<void> {
    const { service } = this.#options;
    await this.#listener?.close();
    for (const session of this.#sessions.keys()) session.stop();
    await service.drain(drainMs);
    await this.#whenEachSession((session) => !session.isBusy);
    for (const session of this.#sessions.keys()) session.stop({ altogether: true });
    await service[Symbol.asyncDispose]();
    // Last: who sees its connection closed can be sure that the store is free for another daemon.
    for (const session of this.#sessions.keys()) session.close();
    await this.#whenEachSession(() => false);
  }

  #welcome(raw: Socket, peer: PeerCredentials): void {
    const { service, trust, log, audit, maxConnections } = this.#options;
    const caller: ChangingCaller = { uid: peer.uid, gid: peer.gid, pid: peer.pid, trusted: false };
    const connection = ++this.#connectionCount;
    const storeDirectory = service.storeDirectory;
    let openService = () => service.forCaller(caller, `connection ${connection} (process ${peer.pid})`);
    let refusal: unknown;
    try {
      Object.assign(caller, admit(trust, peer));
      if (this.#isStopping) throw new ServerError("DAEMON_STOPPING", {});
      if (this.#sessions.size >= maxConnections) throw new ServerError("DAEMON_FULL", { limit: maxConnections });
    } catch (error) {
      refusal = error;
      openService = () => {
        throw error;
      };
    }

    const session: MsgpackSession = new MsgpackSession(raw, {
      caller,
      storeDirectory,
      log,
      ...(audit !== undefined && { audit }),
      openService,
      connection,
      onAnswered: () => this.#spareMemory.note(),
      onEnd: () => {
        this.#sessions.delete(session);
        log.debug({ connection }, "connection closed");
        this.#onSessionEnd?.();
        this.#watchIdle();
      },
    });
    this.#sessions.set(session, { peer, caller });
    clearTimeout(this.#idleTimer);
    log.debug({ connection, uid: peer.uid, pid: peer.pid }, "connection opened");
    if (refusal instanceof ServerError) session.refuse(refusal);
  }

  /** Resolves when each session is gone or as wanted, after `goodbyeMs` in any case. */
  async #whenEachSession(isDone: (session: MsgpackSession) => boolean): Promise<void> {
    const deadline = Promise.withResolvers<void>();
    const timer = setTimeout(deadline.resolve, goodbyeMs);
    try {
      let late = false;
      deadline.promise.then(() => {
        late = true;
      });
      while (!late && [...this.#sessions.keys()].some((session) => !isDone(session))) {
        const change = Promise.withResolvers<void>();
        this.#onSessionEnd = change.resolve;
        for (const session of this.#sessions.keys()) session.onIdle = change.resolve;
        await Promise.race([change.promise, deadline.promise]);
      }
    } finally {
      clearTimeout(timer);
      this.#onSessionEnd = undefined;
    }
  }

  #watchIdle(): void {
    const { idleExitMs, service, log } = this.#options;
    clearTimeout(this.#idleTimer);
    if (idleExitMs === 0 || this.#isStopping || this.#sessions.size > 0) return;
    this.#idleTimer = setTimeout(() => {
      if (this.#sessions.size > 0 || service.runningBuilds > 0 || service.keptRequests > 0) return this.#watchIdle();
      log.info("nobody is connected any more");
      this.stop(0);
    }, idleExitMs);
  }
}
