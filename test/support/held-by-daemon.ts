/** What a daemon, its launcher and their jails hold, as /proc, control groups and the state directory show it. */
import { type Dirent, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** What a daemon and its launcher hold when nothing is built. */
export interface Held {
  readonly processes: number;
  readonly zombies: number;
  /** Of the launcher: open descriptors, those of them that hold a namespace, and mounts in its tree. */
  readonly descriptors: number;
  readonly namespaces: number;
  readonly mounts: number;
  /** In all hierarchies, the launcher's own and those of its jails. */
  readonly controlGroups: number;
  /** In staging, builds and trash. */
  readonly entries: number;
}

/** Prepared jails and removals are behind the builds: what two looks in a row agree on. */
export async function settle(daemon: number, root: string): Promise<Held> {
  let last = look(daemon, root);
  for (let tries = 0; tries < 100; tries += 1) {
    await sleep(100);
    const next = look(daemon, root);
    if (JSON.stringify(next) === JSON.stringify(last)) return next;
    last = next;
  }
  return last;
}

function look(daemon: number, root: string): Held {
  const launcher = findLauncher(daemon);
  const below = descendantsOf(daemon);
  const descriptors = list(`/proc/${launcher}/fd`);
  const targets = descriptors.map((fd) => readLink(`/proc/${launcher}/fd/${fd}`));
  const state = join(root, "cloister/var/cloister");
  return {
    processes: below.length,
    zombies: below.filter(({ state: letter }) => letter === "Z").length,
    descriptors: descriptors.length,
    namespaces: targets.filter((target) => /^(?:mnt|net|user|pid|ipc|uts|cgroup):\[/.test(target)).length,
    mounts: read(`/proc/${launcher}/mountinfo`).trimEnd().split("\n").length,
    controlGroups: findGroups(groupName(launcher)).length,
    entries: ["staging", "builds", "trash"].flatMap((name) => list(join(state, name))).length,
  };
}

interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly state: string;
}

function descendantsOf(top: number): Process[] {
  const all = list("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const [state, parent] = read(`/proc/${name}/stat`)
        .replace(/^.*\) /s, "")
        .split(" ");
      return state === undefined || parent === undefined ? [] : [{ pid: Number(name), parent: Number(parent), state }];
    });
  const found = new Set([top]);
  for (let size = 0; size !== found.size; ) {
    size = found.size;
    for (const { pid, parent } of all) if (found.has(parent)) found.add(pid);
  }
  return all.filter(({ pid }) => pid !== top && found.has(pid));
}

/** The one that is process 1 of its namespace. Jails that are prepared have its memory, but a namespace of their own. */
export function findLauncher(daemon: number): number {
  const launcher = descendantsOf(daemon).find(({ pid }) => /^NSpid:(?:\t\d+)*\t1$/m.test(read(`/proc/${pid}/status`)));
  if (launcher === undefined) throw new Error("the daemon has no launcher");
  return launcher.pid;
}

export function anonymousKiB(pid: number): number {
  return Number(/^RssAnon:\s*(\d+)/m.exec(read(`/proc/${pid}/status`))?.[1]);
}

/** With what it shares with others, such as Node's code. */
export function residentKiB(pid: number): number {
  return Number(/^VmRSS:\s*(\d+)/m.exec(read(`/proc/${pid}/status`))?.[1]);
}

/** The launcher names the groups of its builds after a process, and is told that name: "1:cloister-4711:…". */
export function groupName(launcher: number): string | undefined {
  return /(?:^|[\0:])(cloister-\d+)(?:[\0:]|$)/.exec(read(`/proc/${launcher}/cmdline`))?.[1];
}

/** What is there once the daemon is gone: processes, mounts, directories and control groups; empty if all is well. */
export function findLeft(root: string, groups: string | undefined): string[] {
  return [...findLeftBelow(root), ...findGroups(groups)];
}

/** Control groups with that name, and those in them, in every hierarchy. */
function findGroups(name: string | undefined, folder = "/sys/fs/cgroup", isBelow = false): string[] {
  if (name === undefined) return [];
  return readEntries(folder)
    .filter((entry) => entry.isDirectory())
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      const counts = isBelow || entry.name === name;
      return [...(counts ? [path] : []), ...findGroups(name, path, counts)];
    });
}

function findLeftBelow(root: string): string[] {
  const state = join(root, "cloister/var/cloister");
  return [
    ...["staging", "builds", "trash"].flatMap((name) => list(join(state, name)).map((entry) => `${name}/${entry}`)),
    ...read("/proc/self/mountinfo")
      .split("\n")
      .filter((line) => line.includes(root)),
    ...list("/proc")
      .filter((name) => /^\d+$/.test(name))
      .map((name) => `${name} ${read(`/proc/${name}/cmdline`).replaceAll("\0", " ")}`)
      .filter((line) => line.includes(root)),
  ];
}

/** Of what may be gone, or closed to us: then empty. */
function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function readEntries(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch {
    return [];
  }
}

function readLink(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
