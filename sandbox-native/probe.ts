/**
 * What this machine grants to builds, tried for real: each strength starts a launcher and runs a program in a jail. What
 * `cloister doctor` prints; every line that is not well says how to mend it.
 */
import { execFile } from "node:child_process";
import { access, readFile, statfs } from "node:fs/promises";
import { homedir, release, tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { launcherExecutable } from "./binding.ts";
import { errnoNameOf } from "./errors.ts";
import { type Strength, strengths } from "./launcher-messages.ts";
import { type TriedJail, tryJail } from "./try-jail.ts";
import { defaultBlockedNetworks, findPasta, findWhyNoWayOut } from "./way-out.ts";

export interface ProbeLine {
  readonly name: string;
  /** "notice": builds run all the same, but something about them will not. */
  readonly ok: boolean | "notice";
  readonly detail: string;
  /** The command that mends it, where there is one. */
  readonly remedy?: string;
}

export interface Probe {
  readonly strengths: Readonly<Record<Strength, TriedJail>>;
  readonly lines: readonly ProbeLine[];
}

const oldestKernel: readonly [number, number] = [5, 12];
const leastFreeBytes = 1n << 30n;
const leastFreeInodes = 100_000n;
const leastDescriptors = 4096;

export async function probeMachine(): Promise<Probe> {
  const probed = {} as Record<Strength, TriedJail>;
  for (const strength of strengths) probed[strength] = await tryJail(strength);
  const own: Strength = process.geteuid?.() === 0 ? "root" : "range";
  const worthALine = strengths.filter((strength) => probed[strength].ok || strength === own);
  const lines = [
    ...worthALine.map((strength) => lineOfStrength(strength, probed)),
    probeKernel(),
    ...(await probeUserNamespaces()),
    ...(await probeConfinement()),
    ...(await probeSubordinateIds()),
    await probeNetwork(probed),
    await probeCgroups(probed),
    await probeOverlay(),
    ...(await Promise.all([homedir(), tmpdir()].map(probeDisk))),
    await probeDescriptors(),
  ];
  return { strengths: probed, lines };
}

const meanings: Readonly<Record<Strength, string>> = {
  range: "each build has a user id of its own, out of your subordinate ids; no root anywhere",
  root: "each build has a user id of its own; the launcher is the machine's root",
  single: "builds are kept apart by namespaces alone and share your user id",
};

function lineOfStrength(strength: Strength, probed: Readonly<Record<Strength, TriedJail>>): ProbeLine {
  const name = `${strength} strength`;
  const { ok, why = "", remedy } = probed[strength];
  if (ok) return { name, ok, detail: meanings[strength] };
  const isNeeded = !strengths.some((other) => probed[other].ok);
  return { name, ok: isNeeded ? false : "notice", detail: why, ...(remedy !== undefined && { remedy }) };
}

function probeKernel(): ProbeLine {
  const [major = 0, minor = 0] = release().split(/[.-]/).map(Number);
  const [oldestMajor, oldestMinor] = oldestKernel;
  const ok = major > oldestMajor || (major === oldestMajor && minor >= oldestMinor);
  const detail = `Linux ${release()}${ok ? "" : `; ${oldestKernel.join(".")} or newer is needed`}`;
  return { name: "kernel", ok, detail, ...(!ok && { remedy: "install a newer kernel and boot it" }) };
}

async function probeUserNamespaces(): Promise<ProbeLine[]> {
  const name = "user namespaces";
  const tried = await tryFeature("user-namespace");
  const lines: ProbeLine[] = [];
  const most = await readNumber("/proc/sys/user/max_user_namespaces");
  if (most === 0)
    lines.push({
      name,
      ok: false,
      detail: "user.max_user_namespaces is 0",
      remedy: "sudo sysctl user.max_user_namespaces=15000",
    });
  if ((await readNumber("/proc/sys/kernel/unprivileged_userns_clone")) === 0 && process.geteuid?.() !== 0)
    lines.push({
      name,
      ok: false,
      detail: "kernel.unprivileged_userns_clone is 0",
      remedy: "sudo sysctl kernel.unprivileged_userns_clone=1",
    });
  if ((await readNumber("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")) === 1)
    lines.push({
      name: "AppArmor",
      ok: tried === undefined ? "notice" : false,
      detail:
        "kernel.apparmor_restrict_unprivileged_userns is 1: programs without a profile get namespaces without rights",
      remedy: "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0",
    });
  if (tried === undefined) lines.push({ name, ok: true, detail: "can be made and mapped" });
  else if (lines.length === 0) lines.push({ name, ok: false, detail: tried });
  return lines;
}

/** What containers take away: system calls, parts of /proc, capabilities. */
async function probeConfinement(): Promise<ProbeLine[]> {
  const status = await readText("/proc/self/status");
  const lines: ProbeLine[] = [];
  if (/^Seccomp:\t2$/m.test(status))
    lines.push({
      name: "system call filter",
      ok: "notice",
      detail: "this process runs under a seccomp filter, as in a container; it may forbid namespaces and mounts",
      remedy: "in Docker: docker run --security-opt seccomp=unconfined …",
    });
  const masked = (await readText("/proc/self/mountinfo")).split("\n").filter((line) => / \/proc\/[^ ]+ /.test(line));
  if (masked.length > 0)
    lines.push({
      name: "/proc",
      ok: "notice",
      detail: `${masked.length} places below /proc are covered, so the kernel refuses a fresh /proc in a user namespace`,
      remedy: "in Docker: docker run --security-opt systempaths=unconfined …",
    });
  const capabilities = BigInt(`0x${/^CapEff:\t([0-9a-f]+)$/m.exec(status)?.[1] ?? "0"}`);
  const systemAdministration = 21n;
  if (process.geteuid?.() === 0 && (capabilities & (1n << systemAdministration)) === 0n)
    lines.push({
      name: "root",
      ok: "notice",
      detail: "this root lacks CAP_SYS_ADMIN, so it counts as an ordinary user",
      remedy: "in Docker: docker run --cap-add SYS_ADMIN …",
    });
  return lines;
}

async function probeSubordinateIds(): Promise<ProbeLine[]> {
  const { username, uid } = userInfo();
  const files = await Promise.all(["/etc/subuid", "/etc/subgid"].map(readText));
  const has = files.every((text) =>
    text.split("\n").some((line) => [username, String(uid)].includes(line.split(":")[0] ?? "")),
  );
  const programs = ["newuidmap", "newgidmap"];
  const places = ["/run/wrappers/bin", "/usr/bin", "/bin", "/usr/local/bin"];
  const found = await Promise.all(programs.map((program) => anyExists(places.map((place) => join(place, program)))));
  return [
    {
      name: "subordinate ids",
      ok: has || "notice",
      detail: has ? `${username} has some` : `${username} has none in /etc/subuid and /etc/subgid`,
      ...(!has && { remedy: commandForSubordinateIds(username, files) }),
    },
    {
      name: "newuidmap, newgidmap",
      ok: found.every(Boolean) || "notice",
      detail: found.every(Boolean) ? "are there" : "are not installed",
      ...(!found.every(Boolean) && { remedy: "sudo apt-get install uidmap" }),
    },
  ];
}

/** A range that overlaps with nobody's: who has the same ids could touch the other's files. */
function commandForSubordinateIds(username: string, files: readonly string[]): string {
  const ends = files
    .flatMap((text) => text.split("\n"))
    .map((line) => line.split(":").slice(1).map(Number))
    .map(([first = 0, count = 0]) => first + count)
    .filter(Number.isSafeInteger);
  const first = Math.max(100_000, ...ends);
  const range = `${first}-${first + 65_535}`;
  return `sudo usermod --add-subuids ${range} --add-subgids ${range} ${username}`;
}

/** The way out of builds of fixed outputs, tried in the strongest jail that there is. */
async function probeNetwork(probed: Readonly<Record<Strength, TriedJail>>): Promise<ProbeLine> {
  const name = "network for fixed outputs";
  const strength = strengths.find((one) => probed[one].ok);
  if (strength === undefined) return { name, ok: "notice", detail: "could not be tried, for want of a jail" };
  const pasta = findPasta();
  const missing = findWhyNoWayOut(pasta, strength);
  const without = "builds of fixed outputs have no network";
  if (missing !== undefined)
    return { name, ok: "notice", detail: `${missing.reason}: ${without}`, remedy: missing.remedy };
  const network = { kind: "outbound" as const, blocked: [...defaultBlockedNetworks], nameservers: [] };
  const { ok, why = "" } = await tryJail(strength, { pasta, network });
  return ok ? { name, ok, detail: `by ${pasta}` } : { name, ok: "notice", detail: `${why}: ${without}` };
}

/** As the strongest jail had them that was tried. */
async function probeCgroups(probed: Readonly<Record<Strength, TriedJail>>): Promise<ProbeLine> {
  const name = "control groups";
  const strongest = strengths.find((strength) => probed[strength].ok);
  if (strongest === undefined) return { name, ok: "notice", detail: "not tried, for no jail can be made" };
  const { notEnforced = [] } = probed[strongest];
  if (notEnforced.length === 0) return { name, ok: true, detail: "limits of memory, processors and processes hold" };
  const detail = `limits of ${notEnforced.join(", ")} are not enforced: no control group with them can be written`;
  return { name, ok: "notice", detail, remedy: await findGroupsRemedy("/sys/fs/cgroup") };
}

/**
 * For control groups as they are mounted at `folder`. Of version 1 only controllers that are there are named: `mkdir` would
 * make a plain directory for another, and under version 2 a group.
 */
export async function findGroupsRemedy(folder: string): Promise<string> {
  const there: string[] = [];
  for (const controller of ["memory", "cpu", "cpuacct", "pids", "blkio"])
    if (await anyExists([join(folder, controller, "tasks")])) there.push(controller);
  if (there.length > 0)
    return `for c in ${there.join(" ")}; do sudo mkdir -p ${folder}/$c/cloister; sudo chown -R $(id -u) ${folder}/$c/cloister; done; export CLOISTER_CGROUP_ROOT=/cloister`;
  if (await anyExists([join(folder, "cgroup.controllers")]))
    return "run the daemon as a service with Delegate=yes, or by: systemd-run --user --scope -p Delegate=yes cloister daemon";
  return `sudo mount -t cgroup2 cgroup2 ${folder}, or have a container's engine mount them; then ask doctor again`;
}

async function probeOverlay(): Promise<ProbeLine> {
  const failure = await tryFeature("overlay");
  const name = "overlayfs in a user namespace";
  return failure === undefined ? { name, ok: true, detail: "works" } : { name, ok: "notice", detail: failure };
}

async function probeDisk(directory: string): Promise<ProbeLine> {
  const { bavail, bsize, ffree, files } = await statfs(directory, { bigint: true });
  const freeBytes = bavail * bsize;
  const enough = freeBytes >= leastFreeBytes && (files === 0n || ffree >= leastFreeInodes);
  const inodes = files === 0n ? "inodes as needed" : `${ffree} inodes`;
  const detail = `${(Number(freeBytes) / 2 ** 30).toFixed(1)} GiB and ${inodes} free`;
  return {
    name: `disk at ${directory}`,
    ok: enough || "notice",
    detail,
    ...(!enough && { remedy: "free space there: cloister gc" }),
  };
}

async function probeDescriptors(): Promise<ProbeLine> {
  const limits = await readText("/proc/self/limits");
  const most = Number(/^Max open files\s+\d+\s+(\d+)/m.exec(limits)?.[1] ?? Number.POSITIVE_INFINITY);
  const ok = most >= leastDescriptors;
  return {
    name: "open files",
    ok: ok || "notice",
    detail: ok ? `up to ${most}` : `up to ${most}: builds with more inputs than that fail`,
    ...(!ok && { remedy: `ulimit -Hn 65536 (as root), or LimitNOFILE=65536 in the service` }),
  };
}

/** Undefined if the feature works, else what failed. */
async function tryFeature(feature: "user-namespace" | "overlay"): Promise<string | undefined> {
  const { stdout } = await promisify(execFile)(launcherExecutable(), ["--probe", feature]);
  const result = JSON.parse(stdout) as { ok: boolean; step?: string; errno?: number };
  return result.ok ? undefined : `${result.step} failed with ${errnoNameOf(result.errno ?? 0)}`;
}

/** "" for a file that is not there or may not be read. */
function readText(path: string): Promise<string> {
  return readFile(path, "utf8").catch(() => "");
}

async function readNumber(path: string): Promise<number | undefined> {
  const text = (await readText(path)).trim();
  return text === "" ? undefined : Number(text);
}

async function anyExists(paths: readonly string[]): Promise<boolean> {
  const found = await Promise.all(
    paths.map((path) =>
      access(path).then(
        () => true,
        () => false,
      ),
    ),
  );
  return found.includes(true);
}
