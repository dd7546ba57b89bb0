/**
 * Jails one after another through a daemon, of every kind that has something to leave behind: what is left, and how much
 * memory daemon and launcher hold at each moment. Used by `npm run soak` and, briefly, by soak.test.ts.
 */
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
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
  /** Below the launcher's own, in all hierarchies. */
  readonly controlGroups: number;
  /** In staging, builds and trash. */
  readonly entries: number;
}

export interface Soaked {
  readonly seconds: number;
  /** After the first jails, and at the end. */
  readonly before: Held;
  readonly after: Held;
  /** Median of anonymous memory in the second and the last quarter, in KiB. */
  readonly daemonKiB: readonly [number, number];
  readonly launcherKiB: readonly [number, number];
  /** Of processes, mounts and directories once the daemon is gone; all empty if all is well. */
  readonly left: readonly string[];
}

const warmUp = 60;

/** The scripts, and whether a build succeeds; "%" becomes a number, for more than one derivation of a kind. */
const kinds: readonly { readonly name: string; readonly script: string; readonly fails?: true }[] = [
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
          derived: await builds.derive({ name, script: kind.script, sources }),
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
    await client[Symbol.asyncDispose]();
    await store.endDaemon();
    const quarter = Math.floor(samples.length / 4);
    const medians = (of: "daemon" | "launcher") =>
      [samples.slice(quarter, 2 * quarter), samples.slice(-quarter)].map((part) =>
        median(part.map((each) => each[of])),
      );
    return {
      seconds,
      before,
      after,
      daemonKiB: medians("daemon") as [number, number],
      launcherKiB: medians("launcher") as [number, number],
      left: findLeft(store.root),
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
    controlGroups: countGroups(launcher),
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

function countGroups(pid: number): number {
  const places = read(`/proc/${pid}/cgroup`).trimEnd().split("\n");
  return places.reduce((count, line) => {
    const [, controllers = "", path = ""] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    const folder = join("/sys/fs/cgroup", controllers === "" ? "unified" : controllers, path);
    const names = list(folder).filter((name) => existsSync(join(folder, name, "cgroup.procs")));
    return count + names.filter((name) => name.includes("cloister")).length;
  }, 0);
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

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
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

function readLink(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
