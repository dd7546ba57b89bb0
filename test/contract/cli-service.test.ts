/** `cloister service` below a directory of its own, and what systemd's own tools say of what it writes. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { connect } from "../../daemon/client/find-daemon.ts";
import { packageFolder } from "../../sandbox-native/pinned-node.mjs";
import { CommandLine } from "../support/command-line.ts";
import { makeRemovable } from "../support/temporary-store.ts";

const cli = new CommandLine();
afterAll(() => cli[Symbol.asyncDispose]());
let top: string;
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), "cloister-service-"));
  mkdirSync(join(top, "etc"));
});
afterEach(async () => {
  await makeRemovable(top);
  rmSync(top, { recursive: true, force: true });
});

const has = (program: string) => spawnSync(program, ["--version"], { stdio: "ignore" }).status === 0;
const read = (path: string) => readFileSync(join(top, path), "utf8");
const install = (...args: readonly string[]) => cli.run(["service", "install", "--root-dir", top, ...args]);
const remove = (...args: readonly string[]) => cli.run(["service", "remove", "--root-dir", top, ...args]);
const listed = () => execFileSync("find", [top, "-type", "f"], { encoding: "utf8" }).trim().split("\n").sort();

test("nothing is changed before the plan was shown and agreed to", async () => {
  const { status, stderr } = await install();
  expect(status).toBe(0);
  expect(stderr).toContain("write   /etc/systemd/system/cloister.service\n");
  expect(stderr).toContain("add to  /etc/subuid: cloister:1879048192:16777216\n");
  expect(stderr).toContain("nothing was done; with --yes it is");
  expect(existsSync(join(top, "etc", "systemd"))).toBe(false);
  expect(await cli.json("service install", ["service", "install", "--root-dir", top])).toMatchObject({ done: false });
});

test("`install` leaves a receipt, and `remove` takes away by it what nobody has changed since", async () => {
  writeFileSync(join(top, "etc", "subuid"), "ada:100000:65536\nbob:1879048192:70000", { mode: 0o640 });
  chmodSync(join(top, "etc", "subuid"), 0o640);
  writeFileSync(join(top, "etc", "subgid"), "");
  const before = listed();
  expect((await install("--yes")).status).toBe(0);
  // As far as the first free one, the same for uids and gids.
  expect(read("etc/subuid")).toBe("ada:100000:65536\nbob:1879048192:70000\ncloister:1895825408:16777216\n");
  expect(read("etc/subgid")).toBe("cloister:1895825408:16777216\n");
  expect(statSync(join(top, "etc", "subuid")).mode & 0o777).toBe(0o640);
  const receipt = JSON.parse(read("etc/cloister/service.json"));
  expect(receipt.files.map(({ path }: { path: string }) => path)).toContain("/etc/systemd/system/cloister.socket");

  // Once more changes nothing, and the receipt still names all.
  const again = await install("--yes");
  expect(again.stderr).toBe("write   /etc/cloister/service.json\ndone\n");
  expect(JSON.parse(read("etc/cloister/service.json"))).toEqual(receipt);

  writeFileSync(join(top, "etc/cloister/cloister.toml"), "maxJobs = 3\n");
  const { status, stderr } = await remove("--yes");
  expect(status).toBe(0);
  expect(stderr).toContain("keep    /etc/cloister/cloister.toml: it was changed since it was installed");
  expect(listed()).toEqual([...before, join(top, "etc/cloister/cloister.toml")].sort());
  expect(read("etc/subuid")).toBe("ada:100000:65536\nbob:1879048192:70000\n");
  expect(read("etc/subgid")).toBe("");
  expect((await remove("--yes")).stderr).toContain("no service is installed here");
});

test("a configuration that is there is kept, and one's own ids are enough", async () => {
  mkdirSync(join(top, "etc/cloister"));
  writeFileSync(join(top, "etc/cloister/cloister.toml"), "maxJobs = 3\n");
  for (const name of ["subuid", "subgid"]) writeFileSync(join(top, "etc", name), "cloister:3000000:16777216\n");
  await install("--yes");
  expect(read("etc/cloister/cloister.toml")).toBe("maxJobs = 3\n");
  expect(read("etc/subuid")).toBe("cloister:3000000:16777216\n");
  await remove("--yes");
  expect(read("etc/cloister/cloister.toml")).toBe("maxJobs = 3\n");
  expect(read("etc/subuid")).toBe("cloister:3000000:16777216\n");
});

test("no room for ids: CLI_SERVICE_NO_IDS; a step that fails: CLI_SERVICE_STEP_FAILED, and nothing half written", async () => {
  writeFileSync(join(top, "etc", "subuid"), "x:1879048192:400000000\n");
  expect((await install("--yes")).stderr).toContain("[CLI_SERVICE_NO_IDS]");
  expect(existsSync(join(top, "etc", "systemd"))).toBe(false);
  rmSync(join(top, "etc", "subuid"));
  writeFileSync(join(top, "etc", "systemd"), "in the way");
  const { status, stderr } = await install("--yes");
  expect(status).toBe(1);
  expect(stderr).toContain("[CLI_SERVICE_STEP_FAILED]");
  rmSync(join(top, "etc", "systemd"));
  expect((await remove("--yes")).status).toBe(0); // what was done by then is in the receipt
  expect(existsSync(join(top, "etc/cloister/service.json"))).toBe(false);
});

test("on this machine it is root's to do: CLI_SERVICE_NEEDS_ROOT", async ({ skip }) => {
  skip(process.getuid?.() === 0, "needs an ordinary user");
  const { status, stderr } = await cli.run(["service", "install", "--yes"]);
  expect(status).toBe(1);
  expect(stderr).toMatch(/\[CLI_SERVICE_(NEEDS_ROOT|UNREACHABLE)\]/);
});

describe("what systemd says", () => {
  const unit = () => join(top, "etc/systemd/system/cloister.service");

  test("its units have no mistake", async ({ skip }) => {
    skip(!has("systemd-analyze"), "needs systemd-analyze");
    await install("--yes");
    const socket = unit().replace(".service", ".socket");
    const { status, stderr } = spawnSync("systemd-analyze", ["verify", "--man=no", unit(), socket], {
      encoding: "utf8",
    });
    expect(stderr.split("\n").filter((line) => line.includes("cloister"))).toEqual([]);
    expect(status).toBe(0);
  });

  test("they are hardened, as far as newuidmap can keep its set-id bit", async ({ skip }) => {
    await install("--yes");
    // Source: systemd.exec(5), NoNewPrivileges=.
    const implies =
      /^(DynamicUser|LockPersonality|MemoryDenyWriteExecute|PrivateDevices|ProtectClock|ProtectHostname|ProtectKernelLogs|ProtectKernelModules|ProtectKernelTunables|RestrictAddressFamilies|RestrictNamespaces|RestrictRealtime|RestrictSUIDSGID|SystemCallArchitectures|SystemCallFilter|SystemCallLog)=/m;
    expect(readFileSync(unit(), "utf8")).not.toMatch(implies);
    expect(readFileSync(unit(), "utf8")).toMatch(/^User=cloister$/m);
    skip(!has("systemd-analyze"), "needs systemd-analyze");
    const args = ["security", "--offline=true", "--no-pager", "--threshold=75", unit()];
    const { status, stdout, stderr } = spawnSync("systemd-analyze", args, { encoding: "utf8" });
    expect(status, stdout + stderr).toBe(0);
  });

  test("sysusers and tmpfiles make the user and its folder", async ({ skip }) => {
    skip(!has("systemd-sysusers") || !has("systemd-tmpfiles"), "needs systemd-sysusers and systemd-tmpfiles");
    skip(process.getuid?.() !== 0, "needs root");
    await install("--yes");
    execFileSync("systemd-sysusers", [`--root=${top}`, "cloister.conf"], { stdio: "ignore" });
    const [, , uid, , , home, shell] =
      read("etc/passwd")
        .split("\n")
        .find((line) => line.startsWith("cloister:"))
        ?.split(":") ?? [];
    expect([home, shell]).toEqual(["/cloister", "/usr/sbin/nologin"]);
    execFileSync("systemd-tmpfiles", [`--root=${top}`, "--create", "cloister.conf"], { stdio: "ignore" });
    expect(statSync(join(top, "cloister"))).toMatchObject({ uid: Number(uid) });
  });
});

test("without systemd there is an init script, which a shell understands", async () => {
  expect((await install("--yes", "--manager", "init")).status).toBe(0);
  const script = join(top, "etc/init.d/cloister");
  expect(statSync(script).mode & 0o777).toBe(0o755);
  execFileSync("sh", ["-n", script]);
  expect(spawnSync(script, ["dance"], { encoding: "utf8" })).toMatchObject({
    status: 2,
    stderr: expect.stringContaining("usage:"),
  });
  expect(existsSync(join(top, "etc/systemd"))).toBe(false);
  const { files } = await cli.json("service print", ["service", "print", "--manager", "init"]);
  expect(files[0]).toEqual({ path: "/etc/init.d/cloister", mode: 0o755, text: readFileSync(script, "utf8") });
});

test("what the unit leaves to its daemon is enough for range strength, with no root anywhere", async ({ skip }) => {
  const someone = userWithIds();
  skip(process.getuid?.() !== 0 || someone === undefined, "needs root, and a user with subordinate ids");
  const { files } = await cli.json("service print", ["service", "print", "--manager", "systemd"]);
  const text = files[0]?.text ?? "";
  const capabilities = /^CapabilityBoundingSet=(.*)$/m.exec(text)?.[1]?.split(" ") ?? [];
  expect(capabilities.length).toBeGreaterThan(0);
  const { uid, gid } = someone as { uid: number; gid: number };
  chmodSync(top, 0o755);
  chownSync(top, uid, gid);
  // ProtectSystem=strict: all is read-only but what ReadWritePaths= names, in a mount name space of its own.
  const script = `set -e
mount --make-rprivate /
mount --bind "$1" "$1"
mount -o remount,bind,ro /
shift
exec "$@"`;
  const bounding = ["-all", ...capabilities.map((name) => `+${name.replace("CAP_", "").toLowerCase()}`)].join(",");
  const asUser = [
    "setpriv",
    `--reuid=${uid}`,
    `--regid=${gid}`,
    "--init-groups",
    `--bounding-set=${bounding}`,
    "--inh-caps=-all",
  ];
  const daemon = [process.execPath, join(packageFolder, "daemon/server/bin.js"), "--root", top, "--strength", "range"];
  let log = "";
  const child: ChildProcess = spawn("unshare", ["--mount", "sh", "-c", script, "sh", top, ...asUser, ...daemon], {
    stdio: ["ignore", "ignore", "pipe"],
    env: { PATH: process.env["PATH"], HOME: top },
  });
  child.stderr?.on("data", (bytes: Buffer) => (log += bytes.toString()));
  const ended = once(child, "close");
  await Promise.race([expect.poll(() => log, { timeout: 60_000 }).toContain("listening"), ended]);
  expect(log).toContain("listening");
  const client = await connect({ root: top, start: false });
  const { strength, pid } = await client.status();
  expect(strength).toBe("range");
  expect(readFileSync(`/proc/${pid}/status`, "utf8")).toMatch(/^CapPrm:\t0+$/m);
  await client[Symbol.asyncDispose]();
  child.kill("SIGTERM");
  await ended;
});

/** The first user of /etc/subuid who is there and may have set-id programs help. */
function userWithIds(): { readonly uid: number; readonly gid: number } | undefined {
  if (!existsSync("/etc/subuid")) return undefined;
  const owners = readFileSync("/etc/subuid", "utf8")
    .split("\n")
    .map((line) => line.split(":")[0]);
  const user = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .map((line) => line.split(":"))
    .find(([name = "", , uid]) => owners.includes(name) && Number(uid) > 0);
  return user === undefined || (!has("newuidmap") && !existsSync("/usr/bin/newuidmap"))
    ? undefined
    : { uid: Number(user[2]), gid: Number(user[3]) };
}
