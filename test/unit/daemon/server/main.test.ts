import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { thisProgram } from "../../../../daemon/api/build-id.ts";
import { connect } from "../../../../daemon/client/find-daemon.ts";
import { LocalBuilds } from "../../../support/local-builds.ts";
import { isRunning } from "../../../support/own-store.ts";
import { makeRemovable } from "../../../support/temporary-store.ts";

let root: string;
const children: ChildProcess[] = [];
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "cloister-main-"));
  chmodSync(root, 0o755); // a daemon that becomes another user still has to get there
});
afterEach(async () => {
  // In order, so that the launcher takes away what belongs to its identities and not to us.
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill("SIGTERM");
    await once(child, "close");
  }
  await makeRemovable(root);
  rmSync(root, { recursive: true, force: true });
});

interface Run {
  readonly child: ChildProcess;
  /** The exit status as a shell tells it: a second SIGINT may come when the first one's work is done and Node is leaving. */
  readonly ended: Promise<number>;
  output(): string;
}

function run(...args: readonly string[]): Run {
  const child = spawn(process.execPath, [join(thisProgram().folder, "daemon/server/bin.js"), ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  children.push(child);
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream?.on("data", (bytes: Buffer) => (output += bytes.toString()));
  const ended = once(child, "close").then(([status, signal]: (number | string | null)[]) =>
    typeof status === "number" ? status : 128 + constants.signals[signal as NodeJS.Signals],
  );
  return { child, ended, output: () => output };
}

async function runUntilListening(...args: readonly string[]): Promise<Run> {
  const daemon = run("--root", root, ...args);
  await Promise.race([expect.poll(daemon.output, { timeout: 20_000 }).toContain("listening"), daemon.ended]);
  expect(daemon.output()).toContain("listening");
  return daemon;
}

const client = () => connect({ root, start: false });

test.each([
  ["SIGTERM", 0],
  ["SIGINT", 130],
] as const)("in the foreground it ends by %s with exit status %i, without a socket", async (signal, status) => {
  const daemon = await runUntilListening();
  await (await client())[Symbol.asyncDispose]();
  daemon.child.kill(signal);
  expect(await daemon.ended).toBe(status);
  await expect(client()).rejects.toMatchObject({ code: "DAEMON_NOT_FOUND" });
  for (const line of daemon.output().trimEnd().split("\n")) expect(JSON.parse(line)).toHaveProperty("msg");
});

test("SIGINT twice leaves at once, and no process of a build is left", async () => {
  const daemon = await runUntilListening();
  await using service = await client();
  const builds = await LocalBuilds.over(service, root);
  const started = Promise.withResolvers<void>();
  const building = builds.build(
    { name: "endless", script: "while :; do :; done" },
    { onEvent: (event) => event.kind === "build-started" && started.resolve() },
  );
  const settled = Promise.allSettled([building]); // by the daemon's last answer, or because it is gone
  await started.promise;
  const launcher = Number(
    /^launcher (\d+)/m.exec(readFileSync(join(root, "cloister/var/cloister/daemon.lock"), "utf8"))?.[1],
  );
  daemon.child.kill("SIGINT");
  await expect.poll(daemon.output).toContain("interrupted");
  daemon.child.kill("SIGINT");
  expect(await daemon.ended).toBe(130);
  await settled;
  await expect.poll(() => isRunning(launcher)).toBe(false); // it is pid 1 of all jails
});

test("the launcher dies: the daemon says so and ends, and the next one works", async () => {
  const daemon = await runUntilListening();
  const launcher = /^launcher (\d+)/m.exec(readFileSync(join(root, "cloister/var/cloister/daemon.lock"), "utf8"))?.[1];
  process.kill(Number(launcher), "SIGKILL");
  expect(await daemon.ended).toBe(1);
  expect(daemon.output()).toContain("the launcher died");
  const next = await runUntilListening();
  await using service = await client();
  expect(await service.addText("a", Buffer.from("a"), [])).toMatch(/-a$/);
  next.child.kill("SIGTERM");
});

test("a store has one daemon: STORE_IN_USE", async () => {
  await runUntilListening();
  const second = run("--root", root);
  expect(await second.ended).toBe(1);
  expect(second.output()).toContain("STORE_IN_USE");
  await (await client())[Symbol.asyncDispose]();
});

test("wrong usage is exit status 2, with what was meant", async () => {
  const daemon = run("--max-job", "2");
  expect(await daemon.ended).toBe(2);
  expect(daemon.output()).toContain("--max-jobs");
  const other = run("--trust-user", "nobody-of-this-name");
  expect(await other.ended).toBe(2);
  expect(other.output()).toContain("CONFIG_USER_UNKNOWN");
});

test("started by root for another user, it is that user, and still builds", async ({ skip }) => {
  skip(process.getuid?.() !== 0, "needs root");
  await runUntilListening("--user", "nobody", "--allow-user", "*");
  await using service = await client();
  const { pid } = await service.status();
  expect(readFileSync(`/proc/${pid}/status`, "utf8")).toMatch(/^CapEff:\t0+$/m);
  const state = join(root, "cloister/var/cloister");
  expect(statSync(join(state, "db", "db.sqlite")).uid).toBe(statSync(`/proc/${pid}`).uid);
  expect(statSync(join(state, "db", "db.sqlite")).uid).not.toBe(0);
  expect(statSync(join(state, "socket")).mode & 0o777).toBe(0o666);
  const builds = await LocalBuilds.over(service, root);
  expect((await builds.build({ name: "as-nobody", script: "echo made > $out" })).result.status).toBe("built");
});
