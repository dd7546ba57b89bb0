/** The jail alone: ours through the launcher, beside bubblewrap and crun with the same isolation, over fork and exec. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startLauncher } from "../../sandbox-native/launcher.ts";
import { dumpTree } from "../../sandbox-native/read-tree.ts";
import { measureProgram, measureReference } from "./reference.ts";
import { median } from "./row.ts";
import type { Suite } from "./suite.ts";
import { busybox } from "./workload.ts";

export const jailSuite: Suite = async (context) => {
  const { smoke, temporary } = context;
  const count = smoke ? 5 : 100;
  const ref = measureReference(temporary, smoke ? 20 : 300);
  const peers: Record<string, number> = {};
  const ours = await measureOurs(temporary, count);
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
};

async function measureOurs(temporary: string, count: number): Promise<number> {
  const place = (name: string): string => {
    const path = join(temporary, "jail", name);
    mkdirSync(path, { recursive: true, mode: 0o755 });
    return path;
  };
  await using launcher = await startLauncher({
    storeDirectory: place("store"),
    stagingDirectory: place("staging"),
    trashDirectory: place("trash"),
    buildsDirectory: place("builds"),
    strength: "auto",
    maxJobs: 1,
  });
  const tree = join(temporary, "jail-busybox");
  mkdirSync(join(tree, "bin"), { recursive: true });
  execFileSync("cp", [busybox ?? "/bin/busybox", join(tree, "bin/busybox")]);
  const name = "00000000000000000000000000000000-busybox";
  const restored = await launcher.restore(dumpTree(tree));
  await launcher.move([{ from: restored.stagingName, to: name }]);

  const bytes = (text: string): Uint8Array => Buffer.from(text);
  const times: number[] = [];
  for (let index = 0; index < count; index += 1) {
    const start = performance.now();
    const answer = await launcher.build(
      {
        spec: {
          storeDirectory: "/cloister/store",
          inputs: [name],
          outputs: [],
          builder: bytes(`/cloister/store/${name}/bin/busybox`),
          argv0: bytes("busybox"),
          args: ["sh", "-c", "echo hi > $out"].map(bytes),
          environment: [bytes("out=/build/out")],
          buildDirectory: { inside: "/build", kind: "tmpfs", sizeBytes: 0n, inodes: 0n },
          files: [],
          uid: 1000,
          gid: 100,
          hostName: "localhost",
          network: "none",
          personality: "linux",
          umask: 0o022,
          limits: { wallTimeMs: 0, silenceMs: 0, logBytes: 0, rlimits: [] },
        },
        candidates: [],
        outputs: [],
      },
      { onLog: () => undefined },
    );
    times.push(performance.now() - start);
    if (answer.ending.kind !== "exited" || answer.ending.code !== 0) throw new Error(JSON.stringify(answer.ending));
    await launcher.discard([], [answer.view]);
  }
  return median(times);
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
