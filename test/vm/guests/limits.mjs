// Run in a guest: builders that take without end, under the limits of the second version of control groups. Prints a line
// of JSON for each. usage: limits.mjs STRENGTH USER CONTROL-GROUP-ROOT; for a user, in a group that was given to it.
import { appendFileSync, chownSync, copyFileSync, mkdirSync, mkdtempSync, readdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { noResourceLimits, plainJail } from "../../../dist/sandbox-native/jail-spec.js";
import { startLauncher } from "../../../dist/sandbox-native/launcher.js";

const [strength, user, controlGroupRoot] = process.argv.slice(2);
const groups = "/sys/fs/cgroup";
const uid = user === "ada" ? 1000 : 0;
if (uid !== 0) {
  const delegated = join(groups, "ada");
  mkdirSync(delegated, { recursive: true });
  for (const controller of ["memory", "cpu", "pids", "io"])
    appendFileSync(join(groups, "cgroup.subtree_control"), `+${controller}`);
  for (const name of ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"])
    chownSync(join(delegated, name), uid, uid);
  appendFileSync(join(delegated, "cgroup.procs"), String(process.pid));
  process.setgroups([]);
  process.setgid(uid);
  process.setuid(uid);
}

const folder = mkdtempSync("/var/tmp/limits-");
const [storeDirectory, stagingDirectory, trashDirectory, buildsDirectory] = ["store", "staging", "trash", "builds"].map(
  (name) => {
    mkdirSync(join(folder, name));
    return join(folder, name);
  },
);
mkdirSync(join(storeDirectory, "busybox/bin"), { recursive: true });
copyFileSync("/bin/busybox", join(storeDirectory, "busybox/bin/busybox"));
for (const applet of ["sh", "cat", "dd", "sleep", "mkdir", "date", "true"])
  symlinkSync("busybox", join(storeDirectory, "busybox/bin", applet));

const launcher = await startLauncher({
  ...{ storeDirectory, stagingDirectory, trashDirectory, buildsDirectory, strength, maxJobs: 2, controlGroupRoot },
});

const text = (value) => Buffer.from(value);
async function run(name, script, resources = {}, buildDirectory = {}) {
  const spec = {
    ...plainJail,
    inputs: ["busybox"],
    outputs: [],
    builder: text("/cloister/store/busybox/bin/sh"),
    argv0: text("sh"),
    args: ["-c", script].map(text),
    environment: [text("PATH=/cloister/store/busybox/bin")],
    buildDirectory: { ...plainJail.buildDirectory, kind: "disk", ...buildDirectory },
    limits: {
      ...plainJail.limits,
      wallTimeMs: 60_000,
      logBytes: 100_000,
      resources: { ...noResourceLimits, ...resources },
    },
  };
  const log = [];
  const answer = await launcher.build({ spec, candidates: [], outputs: [] }, { onLog: (bytes) => log.push(bytes) });
  await launcher.discard([], [answer.view]);
  const { ending, unenforced, resources: took, timingsMicroseconds } = answer;
  const line = { name, strength, ending, unenforced, took, limitsMicroseconds: timingsMicroseconds.limits };
  console.log(JSON.stringify(line, (_, value) => (typeof value === "bigint" ? Number(value) : value)));
  if (ending.kind === "exited" && ending.code !== 0) console.log(Buffer.concat(log).toString());
  return answer;
}

const mebibyte = 1n << 20n;
const spin = (seconds) => `end=$(($(date +%s) + ${seconds})); while [ $(date +%s) -lt $end ]; do :; done`;
await run("plain", "true");
await run("memory", 'x=0123456789abcdef; while true; do x="$x$x"; done', { memoryBytes: 48n * mebibyte });
await run("file in memory", "dd if=/dev/zero of=/tmp/file bs=1M count=128", { memoryBytes: 48n * mebibyte });
await run("processes", "bomb() { bomb | bomb & }; bomb; while true; do sleep 1; done", {
  processes: 60,
  cpuWeight: 100,
});
await run("cpu", spin(6), { cpuThousandths: 250 });
await run("everything at once", "dd if=/dev/zero of=file bs=1M count=4 conv=fsync 2>/dev/null", {
  ...{ memoryBytes: 64n * mebibyte, cpuThousandths: 2000, cpuWeight: 200, processes: 100 },
  ...{ readBytesPerSecond: 100n * mebibyte, writtenBytesPerSecond: 100n * mebibyte },
});
await run("disk", "cat /dev/zero > file", {}, { sizeBytes: 8n * mebibyte });
await run("disk in memory", "cat /dev/zero > file; sleep 60", {}, { kind: "tmpfs", sizeBytes: 8n * mebibyte });
await run("log", "while true; do echo yes yes yes yes yes; done");

// A neighbour of usual weight is hardly slowed down by eight busy loops of the least weight, which have no quota.
const share = async (name) => {
  const { resources } = await run(name, spin(5), { cpuWeight: 100 });
  return (resources.cpuUserMicroseconds + resources.cpuSystemMicroseconds) / resources.wallMicroseconds;
};
const alone = await share("neighbour alone");
const hungry = "for i in 1 2 3 4 5 6 7 8; do while true; do :; done & done; sleep 50";
const greedy = run("greedy", hungry, { cpuWeight: 1, processes: 100 });
await new Promise((resolve) => setTimeout(resolve, 1000));
const beside = await share("neighbour beside");
console.log(JSON.stringify({ name: "shares", strength, alone, beside }));
void greedy;
await launcher.close();
await greedy.catch(() => undefined);
const own = uid === 0 ? groups : join(groups, "ada");
const left = readdirSync(own).filter((name) => /^cloister-[0-9]+$/.test(name));
console.log(JSON.stringify({ name: "left", strength, left }));
