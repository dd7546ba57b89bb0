/**
 * The lock by which a store has one daemon, and locks on single paths within it. The first lies on a descriptor: the
 * kernel gives it up with the process, however that ends. What the file says is for the next owner, who ends the
 * launcher that a killed daemon left before it uses the same names and identities again.
 */
import { readFileSync } from "node:fs";
import type { StorePath } from "../derivations/store-path.ts";
import {
  killProcess,
  type LockedFile,
  lockFile,
  processStartTime,
  waitForProcessEnd,
} from "../sandbox-native/posix.ts";
import { errnoNameOf, reasonOf, StoreError } from "./errors.ts";

export interface OwnerLock extends Disposable {
  /** Writes into the lock file who the owner's launcher is. */
  nameLauncher(pid: number): void;
}

/**
 * Takes the store, and waits until the last process of a dead owner's launcher is gone.
 * Throws STORE_IN_USE if another process owns it.
 */
export async function lockStore(file: string, stateDirectory: string): Promise<OwnerLock> {
  const lock = tryLock(file, stateDirectory);
  if (lock === undefined)
    throw new StoreError("STORE_IN_USE", { stateDirectory, pid: readOwners(file).get("daemon")?.pid ?? null });
  try {
    const launcher = readOwners(file).get("launcher");
    if (launcher !== undefined) await endProcess(launcher);
    const owners = new Map<string, Process>();
    const name = (role: string, pid: number) => {
      owners.set(role, { pid, startTime: processStartTime(pid) ?? "" });
      lock.write([...owners].map(([who, { pid: id, startTime }]) => `${who} ${id} ${startTime}\n`).join(""));
    };
    name("daemon", process.pid);
    return {
      nameLauncher: (pid) => name("launcher", pid),
      [Symbol.dispose]: () => {
        lock.write(""); // all of it ended in order: the next owner has nothing to wait for
        lock[Symbol.dispose]();
      },
    };
  } catch (error) {
    lock[Symbol.dispose]();
    throw error;
  }
}

/** Locks on store paths, for whoever checks that a path is not valid and then makes it so, or the other way round. */
export class PathLocks {
  readonly #tails = new Map<StorePath, Promise<void>>();

  /** Waits its turn for each path. Sorted, so that two who want the same paths never wait for each other. */
  async acquire(paths: Iterable<StorePath>): Promise<Disposable> {
    const locks = new LockSet();
    for (const path of [...new Set(paths)].sort()) {
      const before = this.#tails.get(path);
      locks.add(this.#enter(path)); // in the queue before anything is waited for
      await before;
    }
    return locks;
  }

  /** All of the paths at once, or undefined if one is locked. */
  tryAcquire(paths: readonly StorePath[]): Disposable | undefined {
    if (paths.some((path) => this.isLocked(path))) return undefined;
    const locks = new LockSet();
    for (const path of paths) locks.add(this.#enter(path));
    return locks;
  }

  isLocked(path: StorePath): boolean {
    return this.#tails.has(path);
  }

  #enter(path: StorePath): Disposable {
    let resolve = () => {};
    const promise = new Promise<void>((resolvePromise) => {
      resolve = resolvePromise;
    });
    const before = this.#tails.get(path) ?? Promise.resolve();
    const tail = before.then(() => promise);
    this.#tails.set(path, tail);
    return {
      [Symbol.dispose]: () => {
        resolve();
        if (this.#tails.get(path) === tail) this.#tails.delete(path);
      },
    };
  }
}

/** Locks that are given back together. */
export class LockSet implements Disposable {
  #locks: Disposable[] = [];

  add(lock: Disposable): void {
    this.#locks.push(lock);
  }

  /** What is held here is held there from now on. */
  moveTo(other: LockSet): void {
    other.#locks.push(...this.#locks);
    this.#locks = [];
  }

  [Symbol.dispose](): void {
    for (const lock of this.#locks) lock[Symbol.dispose]();
    this.#locks = [];
  }
}

/**
 * Resolves when it and, as it is the first of a pid namespace, all of its jails are gone. A launcher that runs as root
 * cannot be killed by a daemon that does not; it ends by itself, since its daemon has.
 */
async function endProcess({ pid, startTime }: Process): Promise<void> {
  const passOver = (error: unknown, ...names: readonly string[]) => {
    if (!names.includes(errnoNameOf(error))) throw error;
  };
  try {
    killProcess(pid, startTime);
  } catch (error) {
    passOver(error, "EPERM", "EINVAL");
  }
  try {
    await waitForProcessEnd(pid, startTime);
  } catch (error) {
    passOver(error, "EINVAL"); // pidfd_open's word for a process that is just being reaped
  }
}

function tryLock(file: string, directory: string): LockedFile | undefined {
  try {
    return lockFile(file, { exclusive: true, wait: false });
  } catch (error) {
    if (!["EACCES", "EPERM", "EROFS"].includes(errnoNameOf(error))) throw error;
    throw new StoreError("STORE_NOT_WRITABLE", { directory, reason: reasonOf(error) }, { cause: error });
  }
}

interface Process {
  readonly pid: number;
  readonly startTime: string;
}

function readOwners(file: string): Map<string, Process> {
  const owners = new Map<string, Process>();
  for (const line of readText(file).split("\n")) {
    const [, role, pid, startTime] = /^([a-z]+) ([0-9]+) (\S*)$/.exec(line) ?? [];
    if (role !== undefined) owners.set(role, { pid: Number(pid), startTime: startTime ?? "" });
  }
  return owners;
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return ""; // taken by someone, but not readable by us: then it is not known who
  }
}
