/**
 * The listening socket. It is made in a directory that only we can enter, gets its mode there, and is then renamed
 * into place, so it never exists with another mode; all through descriptors of its directory, because a socket's path
 * may have 107 bytes only. One that a dead daemon left is replaced, a live one's never.
 */
import {
  chmodSync,
  closeSync,
  constants,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
} from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { basename, dirname } from "node:path";
import { peerCredentials } from "../../sandbox-native/posix.ts";
import { ServerError } from "./errors.ts";
import type { PeerCredentials } from "./trust.ts";

export interface ListenOptions {
  readonly socket: string;
  /** A socket that listens already and is its maker's to remove: nothing is made at `socket`, which only names it. */
  readonly descriptor?: number;
  /** 0o600, or 0o666 where others may connect: who they are is checked with each connection. */
  readonly mode: number;
  readonly onConnection: (socket: Socket, peer: PeerCredentials) => void;
  readonly onError: (error: unknown) => void;
}

export interface Listener {
  readonly socket: string;
  /** For another circle of users than at the start; connections that there are go on. */
  setMode(mode: number): void;
  /** Takes the socket's file away, if it is still ours, and accepts nothing more. Connections go on. */
  close(): Promise<void>;
}

/** Throws SOCKET_IN_USE, SOCKET_UNUSABLE. */
export async function listen(options: ListenOptions): Promise<Listener> {
  const { socket } = options;
  if (options.descriptor !== undefined) return listenOn(options.descriptor, options);
  const unusable = (error: unknown) =>
    new ServerError(
      "SOCKET_UNUSABLE",
      { socket, reason: error instanceof Error ? error.message : String(error) },
      { cause: error },
    );
  let directory: number;
  try {
    mkdirSync(dirname(socket), { recursive: true });
    directory = openSync(dirname(socket), constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    throw unusable(error);
  }

  const below = `/proc/self/fd/${directory}`;
  const place = `${below}/${basename(socket)}`;
  const server = createServer();
  let workshop: string | undefined;
  try {
    if (await isLive(place)) throw new ServerError("SOCKET_IN_USE", { socket });
    workshop = mkdtempSync(`${below}/.socket-`); // mode 0700
    const made = `${workshop}/socket`;
    await listenAt(server, { path: made });
    chmodSync(made, options.mode);
    server.on("connection", (raw: Socket) => welcome(raw, options));
    server.on("error", options.onError);
    renameSync(made, place);
  } catch (error) {
    server.close();
    if (workshop !== undefined) rmSync(workshop, { recursive: true, force: true });
    closeSync(directory);
    throw error instanceof ServerError ? error : unusable(error);
  }
  rmSync(workshop, { recursive: true, force: true });

  const { ino, dev } = lstatSync(place);
  const isOurs = () => {
    const stat = lstatSync(place, { throwIfNoEntry: false });
    return stat?.ino === ino && stat.dev === dev;
  };
  let closing: Promise<void> | undefined;
  return {
    socket,
    setMode: (mode) => {
      if (isOurs()) chmodSync(place, mode);
    },
    close: () => {
      closing ??= closeServer(server, () => {
        if (isOurs()) rmSync(place, { force: true });
        closeSync(directory);
      });
      return closing;
    },
  };
}

/** For a service manager that holds the socket while no daemon runs. Throws SOCKET_UNUSABLE. */
async function listenOn(descriptor: number, options: ListenOptions): Promise<Listener> {
  const { socket } = options;
  const server = createServer();
  try {
    await listenAt(server, { fd: descriptor });
    // Who connects over a network cannot be asked for, and would pass for anybody.
    if (server.address() !== null && typeof server.address() !== "string") throw new Error("it is no Unix socket");
  } catch (error) {
    server.close();
    const reason = `the descriptor ${descriptor}, which was given for it: ${(error as Error).message}`;
    throw new ServerError("SOCKET_UNUSABLE", { socket, reason }, { cause: error });
  }
  server.on("connection", (raw: Socket) => welcome(raw, options));
  server.on("error", options.onError);
  return { socket, setMode: () => {}, close: () => closeServer(server, () => {}) };
}

/** Whether a process accepts connections there; a socket without one refuses them. */
function isLive(place: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(place);
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", (error: NodeJS.ErrnoException) => resolve(error.code === "EAGAIN")); // its queue is full
  });
}

function listenAt(server: Server, place: { readonly path: string } | { readonly fd: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ ...place, backlog: 511 }, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

/** First the name goes, so that nobody comes to a door that is being closed. Open connections do not hold it up. */
async function closeServer(server: Server, removeName: () => void): Promise<void> {
  removeName();
  server.close();
}

function welcome(raw: Socket, options: ListenOptions): void {
  try {
    options.onConnection(raw, peerCredentials(descriptorOf(raw)));
  } catch (error) {
    raw.destroy();
    options.onError(error);
  }
}

/** Node has no documented way to a socket's descriptor; its handle's `fd` has been there on Linux since Node 0.x. */
function descriptorOf(socket: Socket): number {
  const { _handle } = socket as unknown as { readonly _handle: { readonly fd: number } };
  return _handle.fd;
}
