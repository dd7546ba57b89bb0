/**
 * Jails one after another through a daemon, of every kind that has something to leave behind: what is left, and how much
 * memory daemon and launcher hold at each moment. Used by `npm run soak` and, briefly, by soak.test.ts.
 */
import { median } from "../bench/row.ts";
import type { StrengthToTest } from "../support/granted-strengths.ts";
import { anonymousKiB, findLauncher, findLeft, groupName, type Held, settle } from "../support/held-by-daemon.ts";
import { type Derived, LocalBuilds } from "../support/local-builds.ts";
import { OwnStore } from "../support/own-store.ts";
import { makeRandom } from "../support/random.ts";

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
      left: findLeft(store.root, groups),
    };
  } finally {
    await store[Symbol.asyncDispose]();
  }
}
