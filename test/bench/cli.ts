/** The whole command, as a person waits for it: a build when all is there, and a host world found again. */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { lacksPeers, runInPeers } from "../support/peers.ts";
import { median } from "./row.ts";
import type { Suite } from "./suite.ts";

const bin = new URL("../../daemon/cli/bin.js", import.meta.url).pathname;
const hello = new URL("../../docs/examples/hello/hello.ts", import.meta.url).pathname;

export const cliSuite: Suite = async (context) => {
  const { smoke, temporary } = context;
  const rounds = smoke ? 2 : 20;
  const root = join(temporary, "cli-root");
  mkdirSync(root, { recursive: true });
  const environment = { ...process.env, CLOISTER_ROOT: root, XDG_CACHE_HOME: join(temporary, "cli-cache") };
  const run = (args: readonly string[]): void => {
    execFileSync(process.execPath, args, { stdio: ["ignore", "ignore", "pipe"], env: environment, cwd: temporary });
  };
  const build = [bin, "build", hello, "--no-link"];
  run(build);

  const empty = join(temporary, "empty.ts");
  writeFileSync(empty, "export {};\n");
  const times = { cloister: [] as number[], empty: [] as number[], nix: [] as number[], world: [] as number[] };
  const nix = nixBuildOfStorePath();
  for (let round = 0; round < rounds; round += 1) {
    times.cloister.push(time(() => run(build)));
    times.empty.push(time(() => run([empty])));
    times.world.push(time(() => run([bin, "world", "make", "gcc", "bash", "mkdir"])));
    if (nix !== undefined) times.nix.push(nix());
  }
  run([bin, "daemon", "stop"]);

  const cloister = median(times.cloister);
  const ref = median(times.empty);
  const peers: Record<string, number> = nix === undefined ? {} : { nix: median(times.nix) };
  const common = { suite: "cli", unit: "ms", better: "less", cloister, ref } as const;
  context.report({ ...common, row: "build when all is there, whole command", peers, goal: 0.66 });
  context.report({ ...common, row: "the same, against an empty module", peers: {}, against: "ref", goal: 0.4 });
  context.report({
    ...common,
    row: "a host world found again, whole command",
    cloister: median(times.world),
    peers: {},
  });
};

function time(work: () => void): number {
  const start = performance.now();
  work();
  return performance.now() - start;
}

/** Milliseconds of `nix build` of a path that is there, in a store of its own; without a daemon, which only helps it. */
function nixBuildOfStorePath(): (() => number) | undefined {
  if (lacksPeers) return undefined;
  const nix = "nix --extra-experimental-features nix-command --offline --store /tmp/bench-store";
  const added = runInPeers(["sh", "-c", `${nix} store add /etc/hostname`]);
  if (added.status !== 0) return undefined;
  const build = `${nix} build --no-link ${added.stdout.trim()}`;
  return () => {
    // Timed in there, for entering the tree is no part of it.
    const { status, stdout, stderr } = runInPeers([
      "sh",
      "-ec",
      `start=$(date +%s%N); ${build}; echo $(($(date +%s%N) - start))`,
    ]);
    if (status !== 0) throw new Error(stderr);
    return Number(stdout) / 1e6;
  };
}
