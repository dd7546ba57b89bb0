/** Loads the addon and finds the launcher: both are compiled into sandbox-native/build/Release of the package. */
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { SandboxError } from "./errors.ts";

/** An open archive of a tree; closed when it is collected. */
export interface NativeDump {
  readonly nativeDump: unique symbol;
}

/** What the addon exports for trees. Paths are bytes; failures are thrown as a NativeFailure (errors.ts). */
export interface TreeFunctions {
  openDump(path: Uint8Array): NativeDump;
  /** Bytes filled in; fewer than `buffer` has only at the end. One call at a time. */
  fillFromDump(dump: NativeDump, buffer: Uint8Array): Promise<number>;
  hashTree(path: Uint8Array): Promise<{ narHash: Buffer; narSize: bigint }>;
  /** In the packed form of src/tree/list.h. */
  listTree(path: Uint8Array): Promise<Buffer>;
  openFileBelow(path: Uint8Array, inside: Uint8Array): Promise<number>;
}

/** What the addon exports for posix.ts; descriptors are numbers. */
export interface PosixFunctions {
  openDirectory(path: Uint8Array): number;
  lockFile(path: Uint8Array, exclusive: boolean): number | undefined;
  peerCredentials(socketFd: number): { pid: number; uid: number; gid: number; groups?: number[] };
  /** Sends one datagram; a name that begins with a zero byte is an abstract one. */
  sendDatagram(socketName: Uint8Array, message: Uint8Array): void;
  syncFileSystem(directoryFd: number): Promise<void>;
  releaseFreeMemory(): Promise<void>;
  openProcess(pid: number): number | undefined;
  signalProcess(processFd: number, signal: number): boolean;
  waitReadable(fd: number): Promise<void>;
}

/** Packets from the launcher, each as three items in a row: its kind, the number of its order, its body. */
export type NativeMessages = readonly (number | Uint8Array)[];

/** The launcher, started, and the socket to it. */
export interface NativeChannel {
  /** The descriptors stay the caller's. Throws a failure when it is not sent: too large, no descriptor, no memory. */
  send(kind: number, order: number, body: Uint8Array, descriptors: readonly number[]): void;
  /** Has the launcher end. */
  close(): void;
  /** Whether Node's event loop goes on for this alone; at the start it does. */
  setActive(active: boolean): void;
}

/** What the addon exports for launcher.ts. */
export interface ChannelFunctions {
  /** Throws an error with `errno`. `onEnd` is called once, when the launcher's last process is gone. */
  LauncherChannel: new (
    executable: string,
    args: readonly string[],
    onMessages: (messages: NativeMessages) => void,
    onEnd: () => void,
  ) => NativeChannel;
  /** The read and the write end of a pipe that holds 1 MiB if the system allows it. */
  makePipe(): [number, number];
}

export interface NativeBinding extends TreeFunctions, PosixFunctions, ChannelFunctions {}

let binding: NativeBinding | undefined;

/** The addon, loaded once. Throws NATIVE_NOT_COMPILED. */
export function loadBinding(): NativeBinding {
  binding ??= createRequire(import.meta.url)(productFile("cloister.node")) as NativeBinding;
  return binding;
}

/** The launcher's file. Throws NATIVE_NOT_COMPILED. */
export function launcherExecutable(): string {
  return productFile("cloister-launcher");
}

function productFile(name: string): string {
  const file = join(packageFolder(), "sandbox-native", "build", "Release", name);
  if (!existsSync(file)) throw new SandboxError("NATIVE_NOT_COMPILED", { file });
  return file;
}

/** The folder of our package.json: this file lies below it as a source, or compiled in `dist`. */
function packageFolder(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const manifest = join(folder, "package.json");
    if (existsSync(manifest) && JSON.parse(readFileSync(manifest, "utf8")).name === "cloister") return folder;
    if (folder === dirname(folder)) throw new SandboxError("NATIVE_NOT_COMPILED", { file: manifest });
  }
}
