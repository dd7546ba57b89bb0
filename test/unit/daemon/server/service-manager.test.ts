import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { thisProgram } from "../../../../daemon/api/build-id.ts";
import { connect } from "../../../../daemon/client/find-daemon.ts";
import { readServiceManagerWords } from "../../../../daemon/server/service-manager.ts";
import { NotifyListener, withListeningSocket } from "../../../support/service-manager.ts";
import { makeRemovable } from "../../../support/temporary-store.ts";

const bin = join(thisProgram().folder, "daemon/server/bin.js");
const patience = { timeout: 20_000 };
let folder: string;
let child: ChildProcess | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "cloister-notify-"));
});
afterEach(async () => {
  if (child !== undefined && child.exitCode === null && child.signalCode === null) {
    child.kill("SIGTERM");
    await once(child, "close");
  }
  child = undefined;
  await makeRemovable(folder);
  rmSync(folder, { recursive: true, force: true });
});

test.each(["path", "abstract"])("a service manager is told what goes on: %s", async (kind) => {
  const name = kind === "path" ? join(folder, "notify") : `@cloister-test-${process.pid}`;
  await using manager = await NotifyListener.start(name);
  const config = join(folder, "cloister.toml");
  writeFileSync(config, "");
  child = spawn(process.execPath, [bin, "--root", join(folder, "root"), "--config", config], {
    stdio: "ignore",
    env: { ...process.env, NOTIFY_SOCKET: name, WATCHDOG_USEC: "40000" },
  });
  const keys = () => manager.heard.map((words) => Object.keys(words).join(" "));
  await expect.poll(keys, patience).toContain("READY STATUS");
  expect(keys()[0]).toBe("READY STATUS");
  await expect.poll(() => keys().filter((key) => key === "WATCHDOG").length, patience).toBeGreaterThan(3);

  writeFileSync(config, "drain = 5\n");
  child.kill("SIGHUP");
  await expect.poll(keys, patience).toContain("READY");
  const said = manager.heard.filter((words) => !("WATCHDOG" in words));
  expect(said.slice(1)).toEqual([
    { RELOADING: "1", MONOTONIC_USEC: expect.stringMatching(/^[0-9]+$/) },
    { READY: "1" },
  ]);

  child.kill("SIGTERM");
  await once(child, "close");
  await expect.poll(keys, patience).toContain("STOPPING EXTEND_TIMEOUT_USEC");
  expect(manager.heard.find((words) => "STOPPING" in words)).toEqual({
    STOPPING: "1",
    EXTEND_TIMEOUT_USEC: "20000000",
  });
});

test("a socket that listens already is used, kept for the next daemon, and accepts who waited at it", async () => {
  const socket = join(folder, "socket");
  const log: string[] = [];
  const program = [process.execPath, bin, "--root", join(folder, "root"), "--socket", socket];
  child = spawn("python3", withListeningSocket(socket, program), { stdio: ["ignore", "ignore", "pipe"] });
  child.stderr?.on("data", (bytes: Buffer) => log.push(bytes.toString()));
  await expect.poll(() => existsSync(socket), patience).toBe(true);
  await expect
    .poll(async () => {
      try {
        await using client = await connect({ socket });
        return (await client.status()).pid;
      } catch {
        return undefined; // it is bound and does not listen yet
      }
    }, patience)
    .toBe(child.pid);
  child.kill("SIGTERM");
  const [status] = await once(child, "close");
  expect(status, log.join("")).toBe(0);
  expect(existsSync(socket)).toBe(true);
});

test("a socket of another kind is refused: SOCKET_UNUSABLE", async () => {
  const program = [process.execPath, bin, "--root", join(folder, "root")];
  const overNetwork = withListeningSocket("", program).map((text) =>
    text
      .replace("socket.socket(socket.AF_UNIX)", "socket.socket()")
      .replace("s.bind(sys.argv[1])", "s.bind(('127.0.0.1', 0))"),
  );
  child = spawn("python3", overNetwork, { stdio: ["ignore", "ignore", "pipe"] });
  let log = "";
  child.stderr?.on("data", (bytes: Buffer) => (log += bytes.toString()));
  const [status] = await once(child, "close");
  expect(status).toBe(1);
  expect(log).toContain("SOCKET_UNUSABLE");
  expect(log).toContain("no Unix socket");
});

test("words that were meant for another process do not count", () => {
  const all = { NOTIFY_SOCKET: "@a", WATCHDOG_USEC: "2000000", WATCHDOG_PID: "42", LISTEN_PID: "42", LISTEN_FDS: "1" };
  expect(readServiceManagerWords(all, 42)).toEqual({ notifySocket: "@a", watchdogMs: 2000, listenDescriptor: 3 });
  expect(readServiceManagerWords(all, 43)).toEqual({ notifySocket: "@a" });
  expect(readServiceManagerWords({ ...all, LISTEN_FDS: "0", WATCHDOG_USEC: "x", NOTIFY_SOCKET: "" }, 42)).toEqual({});
  expect(readServiceManagerWords({ NOTIFY_SOCKET: "relative" }, 42)).toEqual({});
});
