/** Of POSIX and Linux what Node lacks: held directories, file locks, who is at the other end of a socket, processes. */
import { Buffer } from "node:buffer";
import { closeSync, ftruncateSync, readFileSync, readlinkSync, writeSync } from "node:fs";
import { constants } from "node:os";
import { loadBinding } from "./binding.ts";
import { errorOf } from "./errors.ts";

export interface DirectoryHandle extends Disposable {
  readonly fd: number;
  readonly path: string;
}

/** Holds a directory open, whatever happens to its name. Throws POSIX_CALL_FAILED. */
export function openDirectory(path: string): DirectoryHandle {
  const fd = call(() => loadBinding().openDirectory(Buffer.from(path)));
  return { fd, path, [Symbol.dispose]: closerOf(fd) };
}

export interface LockedFile extends Disposable {
  readonly fd: number;
  /** Replaces what the file says. */
  write(text: string): void;
}

/**
 * Takes the lock (flock) on a file, which is made with mode 0600 if it is not there; undefined when another holds it. It
 * lasts until it is disposed of or the process ends, however that ends. Throws POSIX_CALL_FAILED.
 */
export function lockFile(path: string, options: { exclusive: boolean; wait: false }): LockedFile | undefined {
  const fd = call(() => loadBinding().lockFile(Buffer.from(path), options.exclusive));
  if (fd === undefined) return undefined;
  return {
    fd,
    write(text) {
      const bytes = Buffer.from(text);
      ftruncateSync(fd, 0);
      for (let position = 0; position < bytes.length; ) {
        position += writeSync(fd, bytes, position, bytes.length - position, position);
      }
    },
    [Symbol.dispose]: closerOf(fd),
  };
}

export interface PeerIdentity {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  /** The other groups of the process; absent where the kernel cannot say. */
  readonly groups?: readonly number[];
}

/** Who connected a Unix socket, as the kernel noted it then. Throws POSIX_CALL_FAILED. */
export function peerCredentials(socketFd: number): PeerIdentity {
  return call(() => loadBinding().peerCredentials(socketFd));
}

/** Sends one datagram to a Unix socket; a name that begins with a zero byte is an abstract one. Throws POSIX_CALL_FAILED. */
export function sendDatagram(socketName: Uint8Array, message: Uint8Array): void {
  call(() => loadBinding().sendDatagram(socketName, message));
}

/**
 * Waits until all of the directory's file system is on disk (syncfs), off the main thread. Hold the directory open from
 * before the writes on: a descriptor opened later misses their errors. Throws POSIX_CALL_FAILED.
 */
export async function syncFileSystem(directoryFd: number): Promise<void> {
  try {
    await loadBinding().syncFileSystem(directoryFd);
  } catch (error) {
    throw errorOf(error);
  }
}

/** Gives memory that was freed back to the system, off the main thread. */
export function releaseFreeMemory(): Promise<void> {
  return loadBinding().releaseFreeMemory();
}

/** The same as long as the machine runs. */
export function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}

/** Where a symbolic link points, or undefined when there is none. */
export function readLinkAt(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "EINVAL"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
}

/** When a process began, as the kernel counts: with the pid it names one process until the next boot. */
export function processStartTime(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The second field is the program's name in parentheses, and may hold spaces and parentheses itself.
    return text.slice(text.lastIndexOf(")") + 2).split(" ")[startTimeField - 3];
  } catch (error) {
    if (["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
}

/** Ends a process (SIGKILL), unless its pid is another's by now. Throws POSIX_CALL_FAILED. */
export function killProcess(pid: number, startTime: string): void {
  const fd = openProcess(pid, startTime);
  if (fd === undefined) return;
  try {
    call(() => loadBinding().signalProcess(fd, constants.signals.SIGKILL));
  } finally {
    closeSync(fd);
  }
}

/**
 * Waits until a process has ended: of the first process of a pid namespace, until all in it have. It may be anyone's, not
 * only a child. Resolves at once if its pid is another's by now.
 */
export async function waitForProcessEnd(pid: number, startTime: string): Promise<void> {
  const fd = openProcess(pid, startTime);
  if (fd === undefined) return;
  try {
    await loadBinding().waitReadable(fd);
  } catch (error) {
    throw errorOf(error);
  } finally {
    closeSync(fd);
  }
}

const startTimeField = 22; // of /proc/PID/stat, counted from 1: proc_pid_stat(5)

/** A descriptor of this very process. Held first and looked at afterwards: from then on the pid cannot become another's. */
function openProcess(pid: number, startTime: string): number | undefined {
  const fd = call(() => loadBinding().openProcess(pid));
  if (fd === undefined || processStartTime(pid) === startTime) return fd;
  closeSync(fd);
  return undefined;
}

function closerOf(fd: number): () => void {
  let isOpen = true;
  return () => {
    if (isOpen) closeSync(fd);
    isOpen = false; // the number may be another file's by the second call
  };
}

function call<Value>(native: () => Value): Value {
  try {
    return native();
  } catch (error) {
    throw errorOf(error);
  }
}
