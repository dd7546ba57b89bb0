/** The same commands inside a jail and outside of one, in turn, on the same file system. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chownSync, closeSync, copyFileSync, mkdirSync, openSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { type Client, type DerivationDescription, loadTarget, resolveTarget } from "../../daemon/library.ts";
import { median } from "../bench/row.ts";
import { archiveOf, definitionOf, type Software } from "./archives.ts";

export interface RealWorkRow {
  readonly suite: "real-work";
  readonly row: Software;
  /** Medians, from the order until the output is in the store, and from the start of the shell until its end. */
  readonly jailSeconds: number;
  readonly outsideSeconds: number;
  readonly ratio: number;
  readonly goal: number;
  readonly met: boolean;
  /** The same ratio of processor time, which says more where a machine does other things meanwhile. */
  readonly processorRatio: number;
  readonly rounds: readonly Round[];
}

interface Round {
  readonly jail: Times;
  readonly outside: Times;
}

interface Times {
  readonly seconds: number;
  /** User's and system's together. */
  readonly processorSeconds: number;
}

/** At most this many times as long as outside. */
const goal = 1.1;

/** `folder` holds the store, and is where the build outside is done. Throws if either build fails. */
export async function measure(
  client: Client,
  folder: string,
  name: Software,
  { count, signal }: { readonly count: number; readonly signal: AbortSignal },
): Promise<RealWorkRow> {
  const target = await loadTarget(definitionOf(name), { cwd: folder });
  if (target.kind !== "derivation") throw new Error(`${name} is no derivation`);
  const { derivation } = target;
  await resolve(client, folder, derivation, "unused"); // makes the world
  const rounds: Round[] = [];
  for (let round = 0; round < count; round += 1) {
    // Who comes first changes, so that neither always has the other's files in the caches.
    const early = round % 2 === 0 ? await buildInJail(client, folder, derivation, { round, signal }) : undefined;
    const outside = await buildOutside(folder, derivation, name, signal);
    const jail = early ?? (await buildInJail(client, folder, derivation, { round, signal }));
    rounds.push({ jail, outside });
  }
  const medianOf = (take: (round: Round) => number): number => median(rounds.map(take));
  const jailSeconds = medianOf(({ jail }) => jail.seconds);
  const outsideSeconds = medianOf(({ outside }) => outside.seconds);
  const ratio = jailSeconds / outsideSeconds;
  const processorRatio =
    medianOf(({ jail }) => jail.processorSeconds) / medianOf(({ outside }) => outside.processorSeconds);
  const met = ratio <= goal;
  return { suite: "real-work", row: name, jailSeconds, outsideSeconds, ratio, goal, met, processorRatio, rounds };
}

async function resolve(client: Client, folder: string, derivation: DerivationDescription, round: string) {
  const { storeDirectory, system } = await client.status();
  // A variable of its own makes each round another derivation: nothing is taken from the one before.
  const target = { kind: "derivation", derivation: { ...derivation, env: { round } }, outputs: "all" } as const;
  return resolveTarget(client, target, { storeDirectory, system, cacheDirectory: join(folder, "cache") });
}

async function buildInJail(
  client: Client,
  folder: string,
  derivation: DerivationDescription,
  { round, signal }: { readonly round: number; readonly signal: AbortSignal },
): Promise<Times> {
  const target = await resolve(client, folder, derivation, String(round));
  const options = { signal, mode: "normal", keepGoing: false, cores: 0, timeoutMs: 0, silenceMs: 0 } as const;
  const start = performance.now();
  const [result] = await client.build([target], options);
  const seconds = (performance.now() - start) / 1000;
  if (result?.status === "built") {
    const [record] = await client.queryBuildRecords({ text: result.recordId ?? "", limit: 1 });
    if (record === undefined) throw new Error(`there is no record of the build of ${derivation.name}`);
    const { cpuUserMicroseconds, cpuSystemMicroseconds } = record.resources;
    return { seconds, processorSeconds: (cpuUserMicroseconds + cpuSystemMicroseconds) / 1e6 };
  }
  throw new Error(`${derivation.name} failed in its jail: ${result?.error?.message ?? result?.status}`);
}

async function buildOutside(
  folder: string,
  derivation: DerivationDescription,
  name: Software,
  signal: AbortSignal,
): Promise<Times> {
  const { script } = derivation;
  if (script === undefined) throw new Error(`${derivation.name} has no script`);
  const place = join(folder, "outside");
  const build = join(place, "build");
  mkdirSync(build, { recursive: true });
  const log = openSync(join(place, "log"), "w");
  const text = typeof script === "string" ? script : script.join("\n");
  const environment = {
    PATH: "/usr/bin:/bin:/usr/sbin:/sbin",
    HOME: "/homeless-shelter",
    TMPDIR: build,
    NIX_BUILD_CORES: String(availableParallelism()),
    TERM: "xterm-256color",
    archive: join(place, "archive"),
    out: join(place, "out"),
  };
  copyFileSync(archiveOf(name), environment.archive);
  // As in a jail: some tests refuse to be run by root.
  const identity = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};
  if (identity.uid !== undefined) for (const path of [place, build]) chownSync(path, identity.uid, identity.gid);
  try {
    signal.throwIfAborted();
    const processorBefore = processorSecondsOfChildren();
    const start = performance.now();
    const shell = spawn("/bin/bash", ["-e", "-u", "-o", "pipefail", "-c", text], {
      cwd: build,
      env: environment,
      stdio: ["ignore", log, log],
      ...identity,
      detached: true, // a group of its own, so that all of it can be ended
    });
    const end = () => shell.pid !== undefined && process.kill(-shell.pid, "SIGKILL");
    signal.addEventListener("abort", end);
    const [status] = await once(shell, "exit");
    signal.removeEventListener("abort", end);
    const seconds = (performance.now() - start) / 1000;
    signal.throwIfAborted();
    if (status === 0) return { seconds, processorSeconds: processorSecondsOfChildren() - processorBefore };
    const tail = readFileSync(join(place, "log"), "utf8").trim().split("\n").slice(-15).join("\n");
    throw new Error(`${derivation.name} failed outside of a jail (status ${status}):\n${tail}`);
  } finally {
    closeSync(log);
    rmSync(place, { recursive: true, force: true });
  }
}

/** Of all that have ended. Source: proc_pid_stat(5), cutime and cstime, in the kernel's 100 ticks a second. */
function processorSecondsOfChildren(): number {
  const stat = readFileSync("/proc/self/stat", "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" "); // the third field is the first here
  return (Number(fields[13]) + Number(fields[14])) / 100;
}
