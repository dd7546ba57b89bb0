/** The jail alone: ours through the launcher, beside bubblewrap and crun with the same isolation, over fork and exec. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { plainJail } from "../../sandbox-native/jail-spec.ts";
import { makeTemporaryLauncher, shellSpec } from "../support/temporary-launcher.ts";
import { measureProgram, measureReference } from "./reference.ts";
import { median } from "./row.ts";
import type { Suite } from "./suite.ts";
import { busybox } from "./workload.ts";

export const jailSuite: Suite = async (context) => {
  const { smoke, temporary } = context;
  const count = smoke ? 5 : 100;
  const ref = measureReference(temporary, smoke ? 20 : 300);
  const peers: Record<string, number> = {};
  await using jails = await startJails(temporary, 1);
  const ours = await measureJail(jails, count);
  for (const [name, measure] of [
    ["bubblewrap", measureBubblewrap],
    ["crun", measureCrun],
  ] as const) {
    const milliseconds = measure(temporary, count);
    if (milliseconds !== undefined) peers[name] = milliseconds;
    else process.stderr.write(`${name} is left out: it is not there, or cannot run on this machine\n`);
  }
  context.report({
    suite: "jail",
    row: "a jail with `busybox sh`, whole",
    unit: "ms",
    better: "less",
    ref,
    cloister: ours,
    peers,
  });
  context.report({
    suite: "jail",
    row: "a jail, over fork and exec",
    unit: "ms",
    better: "less",
    goal: 5,
    cloister: Math.max(ours - ref, 0.001),
    peers: Object.fromEntries(Object.entries(peers).map(([name, value]) => [name, value - ref])),
  });
  await reportBurdens(context, jails, count);
};

/** A launcher of this many jobs over a store of its own with busybox in it, and its jails. */
async function startJails(temporary: string, maxJobs: number) {
  const here = await makeTemporaryLauncher({ maxJobs, folder: mkdtempSync(join(temporary, "jail-")) });
  const { limits, buildDirectory } = plainJail;
  const run = async (script: string, signal?: AbortSignal): Promise<void> => {
    const spec = shellSpec(script, {
      outputs: [],
      environment: [Buffer.from("out=/build/out")],
      limits,
      buildDirectory,
    });
    const { answer } = await here.run(spec, {}, signal);
    await here.launcher.discard([], [answer.view]);
    if (signal === undefined && (answer.ending.kind !== "exited" || answer.ending.code !== 0))
      throw new Error(JSON.stringify(answer.ending));
  };
  return { run, [Symbol.asyncDispose]: () => here[Symbol.asyncDispose]() };
}

type Jails = Awaited<ReturnType<typeof startJails>>;

/** Milliseconds of one jail as the launcher's caller sees it, by the median. */
async function measureJail(jails: Jails, count: number): Promise<number> {
  const times: number[] = [];
  for (let index = 0; index < count; index += 1) {
    const start = performance.now();
    await jails.run("echo hi > $out");
    times.push(performance.now() - start);
  }
  return median(times);
}

/** The same jail alone and under a burden, in turns; what the burden is must not matter to it. */
async function measureBurdened(jails: Jails, burdened: Jails, count: number) {
  const alone: number[] = [];
  const beside: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    alone.push(await measureJail(jails, Math.ceil(count / 5)));
    beside.push(await measureJail(burdened, Math.ceil(count / 5)));
  }
  return { ref: median(alone), cloister: median(beside), peers: {}, against: "ref" as const };
}

async function reportBurdens({ report, smoke, temporary }: Parameters<Suite>[0], jails: Jails, count: number) {
  const row = { suite: "jail", unit: "ms", better: "less" as const, goal: 0.9 };
  const waiting = smoke ? 10 : 200;
  {
    await using crowded = await startJails(temporary, waiting + 1);
    const over = new AbortController();
    const sleepers = Array.from({ length: waiting }, () => crowded.run("sleep 1000", over.signal));
    await crowded.run("true"); // taken up after them
    report({ ...row, row: `a jail beside ${waiting} that wait`, ...(await measureBurdened(jails, crowded, count)) });
    over.abort();
    await Promise.allSettled(sleepers);
  }
  const memory = Buffer.alloc(smoke ? 1 << 26 : 1 << 30, 1);
  await using launched = await startJails(temporary, 1);
  report({ ...row, row: "a jail of a daemon with 1 GiB", ...(await measureBurdened(jails, launched, count)) });
  if (memory[0] !== 1) throw new Error("the memory is there to be held");
}

function measureBubblewrap(temporary: string, count: number): number | undefined {
  if (spawnSync("bwrap", ["--version"]).status !== 0) return undefined;
  const isolation = [
    "--unshare-all",
    "--die-with-parent",
    "--new-session",
    "--cap-drop",
    "ALL",
    "--clearenv",
    "--hostname",
    "localhost",
  ];
  const files = [
    "--tmpfs",
    "/",
    "--ro-bind",
    busybox ?? "/bin/busybox",
    "/busybox",
    "--proc",
    "/proc",
    "--dev",
    "/dev",
    "--tmpfs",
    "/build",
    "--setenv",
    "out",
    "/build/out",
  ];
  return medianOfRuns(temporary, "bwrap", [...isolation, ...files, "/busybox", "sh", "-c", "echo hi > $out"], count);
}

function measureCrun(temporary: string, count: number): number | undefined {
  if (spawnSync("crun", ["--version"]).status !== 0) return undefined;
  const bundle = join(temporary, "crun");
  mkdirSync(join(bundle, "rootfs/build"), { recursive: true });
  execFileSync("cp", [busybox ?? "/bin/busybox", join(bundle, "rootfs/busybox")]);
  for (const directory of ["proc", "dev", "tmp"]) mkdirSync(join(bundle, "rootfs", directory), { recursive: true });
  const namespaces = ["pid", "network", "ipc", "uts", "mount", "cgroup"].map((type) => ({ type }));
  const config = {
    ociVersion: "1.0.2",
    process: {
      user: { uid: 0, gid: 0 },
      args: ["/busybox", "sh", "-c", "echo hi > $out"],
      env: ["out=/build/out"],
      cwd: "/",
      noNewPrivileges: true,
      capabilities: {},
    },
    root: { path: "rootfs", readonly: true },
    hostname: "localhost",
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/dev", type: "tmpfs", source: "tmpfs" },
      { destination: "/build", type: "tmpfs", source: "tmpfs" },
    ],
    linux: { namespaces },
  };
  writeFileSync(join(bundle, "config.json"), JSON.stringify(config));
  const base = ["--root", join(temporary, "crun-state"), "--cgroup-manager", "disabled", "run", "--bundle", bundle];
  if (spawnSync("crun", [...base, "cloister-probe"]).status !== 0) return undefined;
  return medianOfRuns(temporary, "crun", [...base, "cloister-bench"], count);
}

/** By the same vfork, exec and wait as `ref`: the launcher runs in a warm process, these are started anew each time. */
function medianOfRuns(temporary: string, program: string, args: readonly string[], count: number): number {
  return measureProgram(temporary, count, [findProgram(program), ...args]);
}

function findProgram(name: string): string {
  return execFileSync("sh", ["-c", `command -v ${name}`], { encoding: "utf8" }).trim();
}
