/**
 * Jails one after another through a daemon, of every kind that has something to leave behind: what is left, and how much
 * memory daemon and launcher hold at each moment. Used by `npm run soak` and, briefly, by soak.test.ts.
 */
import { type Dirent, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { median } from "../bench/row.ts";
import type { StrengthToTest } from "../support/granted-strengths.ts";
import { type Derived, LocalBuilds } from "../support/local-builds.ts";
import { OwnStore } from "../support/own-store.ts";
import { makeRandom } from "../support/random.ts";

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

export interface Soaked {
  readonly seconds: number;
  /** After the first jails, and at the end. */
  readonly before: Held;
  readonly after: Held;
  /** Median of anonymous memory in each tenth of the run, in KiB. */
  readonly daemonKiB: readonly number[];
  readonly launcherKiB: readonly number[];
  /** Processes, mounts, directories and control groups once the daemon is gone; empty if all is well. */
  readonly left: readonly string[];
}

const warmUp = 60;

/** Jails and directories that are prepared for builds to come, and caches that fill, come and go. */
const slack = 40;

/** What should not be; a leak at one jail of a hundred shows in 10,000, one at each jail in 300. */
export function problemsOf({ before, after, daemonKiB, launcherKiB, left }: Soaked): string[] {
  const grown = (Object.keys(before) as (keyof Held)[])
    .filter((name) => after[name] > before[name] + slack)
    .map((name) => `${name}: ${before[name]} before, ${after[name]} after`);
  const [daemonEarly = 0, daemonLate = 0] = [daemonKiB[3], daemonKiB[9]];
  const [launcherEarly = 0, launcherLate = 0] = [launcherKiB[3], launcherKiB[9]];
  return [
    ...grown,
    ...(after.zombies > 0 ? [`${after.zombies} zombies`] : []),
    // The daemon's heap takes some hundred builds to come to its size, and breathes then.
    ...(daemonLate > daemonEarly * 1.125 + 32 * 1024
      ? [`the daemon grew from ${daemonEarly} to ${daemonLate} KiB`]
      : []),
    ...(launcherLate > launcherEarly + 512 ? [`the launcher grew from ${launcherEarly} to ${launcherLate} KiB`] : []),
    ...left.map((what) => `left: ${what}`),
  ];
}

/** The scripts, and whether a build succeeds. */
const kinds: readonly {
  readonly name: string;
  readonly script: string;
  readonly fails?: true;
  readonly variables?: Readonly<Record<string, string>>;
}[] = [
  { name: "plain", script: "echo hi > $out" },
  {
    name: "tree",
    script: "mkdir -p $out/a/b; for i in 1 2 3 4 5 6 7 8; do echo $i > $out/a/b/$i; ln -s $i $out/$i; done",
  },
  { name: "failing", script: "echo made > $out; exit 1", fails: true },
  { name: "killed", script: "sh -c 'kill -9 $$'", fails: true },
  { name: "leaving", script: "for i in 1 2 3; do (trap '' TERM HUP INT; setsid sleep 1000 &) ; done; echo hi > $out" },
  {
    name: "untidy",
    script:
      "cd /; mkdir -p $out-other/deep; mkfifo $out-pipe; ln $out-pipe $out-link; ln $out-pipe /tmp/no || true; echo x > /build/x; echo > $out",
  },
  { name: "loud", script: "i=0; while [ $i -lt 200 ]; do echo line $i of many; i=$((i+1)); done; echo hi > $out" },
  {
    name: "tmp",
    script: "dd if=/dev/zero of=/tmp/zero bs=64k count=4; dd if=/dev/zero of=/dev/shm/zero bs=64k count=1; echo > $out",
  },
  // A limit for which a control group is made, where that may be.
  { name: "limited", script: "echo hi > $out", variables: { __limits: "memory=256M" } },
];

export async function soak(
  jails: number,
  seed: number,
  strength: StrengthToTest["strength"] | "auto",
): Promise<Soaked> {
  const store = new OwnStore();
  const random = makeRandom(seed);
  try {
    const client = await store.connect({ strength });
    const { pid } = await client.status();
    const builds = await LocalBuilds.over(client, store.root);
    const prepared: { readonly derived: Derived; readonly fails: boolean }[] = [];
    for (const [index, kind] of kinds.entries())
      for (const variant of [0, 1, 2]) {
        const texts = Array.from({ length: 8 }, (_, at) => `input-${index + variant * 3 + at}`);
        const sources = [];
        for (const text of texts) sources.push(await client.addText(text, Buffer.from(text), []));
        const name = `${kind.name}-${variant}`;
        prepared.push({
          derived: await builds.derive({ name, script: kind.script, variables: kind.variables ?? {}, sources }),
          fails: kind.fails === true,
        });
      }

    const buildOne = async () => {
      const chosen = prepared[Math.floor(random() * prepared.length)];
      if (chosen === undefined) throw new Error("there is nothing to build");
      // What is valid is built again, and compared.
      const { result } = await builds.buildAll([chosen.derived.target], { mode: "check" });
      const failed = result.status !== "built" && result.status !== "already-valid";
      if (failed !== chosen.fails)
        throw new Error(`${chosen.derived.drvPath}: ${result.status}, ${result.error?.message}`);
    };
    for (const { derived } of prepared) await builds.buildAll([derived.target]);
    for (let count = prepared.length; count < warmUp; count += 1) await buildOne();
    const before = await settle(pid, store.root);

    const start = performance.now();
    const samples: { readonly daemon: number; readonly launcher: number }[] = [];
    const every = Math.max(1, Math.floor(jails / 100));
    for (let count = 0; count < jails; count += 1) {
      await buildOne();
      if (count % every === 0) samples.push({ daemon: anonymousKiB(pid), launcher: anonymousKiB(findLauncher(pid)) });
    }
    const seconds = (performance.now() - start) / 1000;
    const after = await settle(pid, store.root);
    const groups = groupName(findLauncher(pid));
    await client[Symbol.asyncDispose]();
    await store.endDaemon();
    const tenth = Math.floor(samples.length / 10);
    const medians = (of: "daemon" | "launcher") =>
      Array.from({ length: 10 }, (_, index) =>
        median(samples.slice(index * tenth, (index + 1) * tenth).map((sample) => sample[of])),
      );
    return {
      seconds,
      before,
      after,
      daemonKiB: medians("daemon"),
      launcherKiB: medians("launcher"),
      left: [...findLeft(store.root), ...findGroups(groups)],
    };
  } finally {
    await store[Symbol.asyncDispose]();
  }
}

/** Prepared jails and removals are behind the builds: what two looks in a row agree on. */
async function settle(daemon: number, root: string): Promise<Held> {
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
function findLauncher(daemon: number): number {
  const launcher = descendantsOf(daemon).find(({ pid }) => /^NSpid:(?:\t\d+)*\t1$/m.test(read(`/proc/${pid}/status`)));
  if (launcher === undefined) throw new Error("the daemon has no launcher");
  return launcher.pid;
}

function anonymousKiB(pid: number): number {
  return Number(/^RssAnon:\s*(\d+)/m.exec(read(`/proc/${pid}/status`))?.[1]);
}

/** The launcher names the groups of its builds after a process, and is told that name: "1:cloister-4711:…". */
function groupName(launcher: number): string | undefined {
  return /(?:^|[\0:])(cloister-\d+)(?:[\0:]|$)/.exec(read(`/proc/${launcher}/cmdline`))?.[1];
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

function findLeft(root: string): string[] {
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
