/** Clients that ask for builds, watch them and go away, in this process and over a socket. */
import { expect } from "vitest";
import { ProtocolError } from "../../daemon/api/errors.ts";
import type { BuildEvent } from "../../daemon/api/events.ts";
import type { OnDisconnect } from "../../daemon/api/requests.ts";
import type { Caller, Service } from "../../daemon/api/service.ts";
import type { BuildResult } from "../../derivations/build-result.ts";
import { type Derived, LocalBuilds, options } from "./local-builds.ts";
import { TestDaemon } from "./test-daemon.ts";

export const self: Caller = {
  uid: process.getuid?.() ?? 0,
  gid: process.getgid?.() ?? 0,
  pid: process.pid,
  trusted: false,
};

export interface Peer {
  readonly service: Service;
  /** As a client that is killed: nothing of it is there any more. */
  vanish(): Promise<void>;
  /** Vanishing, as `build` is told of it. */
  readonly signal?: AbortSignal;
}

/** Both are one interface: what holds of the service in this process holds of a daemon's behind its socket. */
export const implementations: readonly [string, (daemon: TestDaemon) => Promise<Peer>][] = [
  [
    "the service in this process",
    async ({ service: local }) => {
      const service = local.forCaller(self, `test ${Math.random()}`);
      const gone = new AbortController();
      const vanish = async () => {
        gone.abort(new ProtocolError("CLIENT_GONE", { method: "build" }));
        await service[Symbol.asyncDispose]();
      };
      return { service, vanish, signal: gone.signal };
    },
  ],
  [
    "a client of a daemon",
    async (daemon) => {
      const service = await daemon.connect();
      return { service, vanish: () => service[Symbol.asyncDispose]() };
    },
  ],
];

export interface Started {
  readonly id: string;
  readonly ended: Promise<PromiseSettledResult<unknown>>;
  cancel(): Promise<void>;
}

/** Starts a build, and resolves when the daemon has planned it. */
export async function start(
  { service, signal }: Peer,
  { target }: Derived,
  onDisconnect?: OnDisconnect,
): Promise<Started> {
  const stop = new AbortController();
  const planned = Promise.withResolvers<string>();
  const building = service.build([target], {
    ...options,
    ...(onDisconnect && { onDisconnect }),
    signal: signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]),
    onEvent: (event) => event.kind === "plan" && planned.resolve(event.requestId ?? ""),
  });
  const ended = Promise.allSettled([building]).then(([settled]) => settled);
  const cancel = async () => {
    stop.abort(new Error("never mind"));
    await ended;
  };
  return { id: await planned.promise, ended, cancel };
}

/** A daemon for each test of a suite, with a client of it and derivations in its store. */
export interface RequestDaemon {
  readonly daemon: TestDaemon;
  readonly peer: Peer;
  readonly service: Service;
  readonly builds: LocalBuilds;
  /** A build of another client's that runs until it is ended. */
  startBlocker(script?: string, name?: string): Promise<Peer & Started & { readonly derived: Derived }>;
}

export const endless = "echo endless; while :; do :; done";

/** With one job at a time, so that a build that does not end keeps all others waiting. */
export async function startRequestDaemon(
  open: (daemon: TestDaemon) => Promise<Peer>,
): Promise<RequestDaemon & AsyncDisposable> {
  const daemon = await TestDaemon.start({ maxJobs: 1, trust: { allowedUids: "all", trustedUids: new Set() } });
  const peer = await open(daemon);
  const { service } = peer;
  const builds = await LocalBuilds.over(service, daemon.root);
  return {
    ...{ daemon, peer, service, builds },
    startBlocker: async (script = endless, name = "blocker") => {
      const derived = await builds.derive({ name, script });
      const blocking = await open(daemon);
      return { derived, ...blocking, ...(await start(blocking, derived)) };
    },
    [Symbol.asyncDispose]: async () => {
      await service[Symbol.asyncDispose]();
      await daemon[Symbol.asyncDispose]();
    },
  };
}

export async function runningRecord(service: Service, name: string): Promise<string> {
  const find = async () => (await service.queryActivity()).builds.find((build) => build.name === name)?.recordId;
  await expect.poll(find, { timeout: 20_000 }).toBeTruthy();
  return (await find()) ?? "";
}

export interface Watched {
  readonly events: readonly BuildEvent[];
  readonly results: readonly BuildResult[];
}

export async function watch(service: Service, id: string): Promise<Watched> {
  const events: BuildEvent[] = [];
  const results = await service.attach(id, { onEvent: (event) => void events.push(event) });
  return { events, results };
}

export function kinds(events: readonly BuildEvent[]): string[] {
  return events.map(({ kind }) => kind).filter((kind, index, all) => kind !== "build-log" || all[index - 1] !== kind);
}

export function logOf(events: readonly BuildEvent[]): string {
  return events.map((event) => (event.kind === "build-log" ? Buffer.from(event.bytes).toString() : "")).join("");
}
