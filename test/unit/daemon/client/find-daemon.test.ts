import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, describe, expect, test, vi } from "vitest";
import { thisProgram } from "../../../../daemon/api/build-id.ts";
import { connect } from "../../../../daemon/client/find-daemon.ts";
import { isRunning, OwnStore } from "../../../support/own-store.ts";
import { daemonHello, RawDaemon } from "../../../support/raw-daemon.ts";
import { fileNar } from "../../../support/temporary-store.ts";

afterEach(() => {
  vi.unstubAllEnvs();
});

describe("a store of one's own", () => {
  test("its daemon is started, is warm for the second one, and is gone when idle", async () => {
    await using store = new OwnStore();
    vi.stubEnv("CLOISTER_IDLE_EXIT", "1");
    const first = await store.connect();
    const { pid, buildId } = await first.status();
    expect(buildId).toBe(thisProgram().buildId);
    await using second = await store.connect();
    expect((await second.status()).pid).toBe(pid);
    await first[Symbol.asyncDispose]();
    await second[Symbol.asyncDispose]();
    await expect.poll(() => isRunning(pid), { timeout: 20_000 }).toBe(false);
    expect(existsSync(store.socket)).toBe(false);
    expect(store.log).toContain("nobody is connected any more");
  });

  test("who starts at the same moment gets the same daemon", async () => {
    await using store = new OwnStore();
    const clients = await Promise.all([1, 2, 3, 4].map(() => store.connect()));
    const pids = await Promise.all(clients.map(async (client) => (await client.status()).pid));
    expect(new Set(pids).size).toBe(1);
    for (const client of clients) await client[Symbol.asyncDispose]();
  });

  test("a root 200 bytes deep", async () => {
    await using store = new OwnStore(join("d".repeat(100), "e".repeat(100)));
    await using client = await store.connect();
    expect((await client.status()).realStoreDirectory).toBe(join(store.root, "cloister/store"));
  });

  test("a daemon that is killed while a client waits is DAEMON_GONE, and the next one works", async () => {
    await using store = new OwnStore();
    const client = await store.connect();
    const path = await client.addText("before", Buffer.from("before"), []);
    const { pid } = await client.status();
    async function* never(): AsyncGenerator<Uint8Array> {
      yield fileNar("never whole").subarray(0, 16);
      process.kill(pid, "SIGKILL");
      await client.closed;
    }
    const adding = client.addSource("never", { kind: "source", references: [] }, never());
    await expect(adding).rejects.toMatchObject({
      code: "DAEMON_GONE",
      details: { socket: store.socket, logTail: [expect.stringContaining("listening")] },
    });
    await using next = await store.connect();
    expect((await next.status()).pid).not.toBe(pid);
    expect(await next.queryValidPaths([path])).toEqual([path]);
  });

  test("SIGTERM ends it in order", async () => {
    await using store = new OwnStore();
    await using client = await store.connect();
    const { pid } = await client.status();
    process.kill(pid, "SIGTERM");
    await client.closed;
    await expect.poll(() => isRunning(pid), { timeout: 20_000 }).toBe(false);
    expect(existsSync(store.socket)).toBe(false);
    expect(store.log).toContain('"msg":"ended"');
  });

  test("a daemon of another build is asked to end, and is replaced", async () => {
    await using store = new OwnStore();
    const asked: string[] = [];
    const old = await RawDaemon.start(store.socket, (message, say) => {
      if (message.kind === "hello") say(daemonHello());
      if (message.kind !== "request") return;
      asked.push(message.method);
      say({ kind: "result", id: message.id, value: null });
      setTimeout(() => old.end(), 20);
    });
    const notices: string[] = [];
    await using client = await store.connect({ onNotice: (text) => notices.push(text) });
    expect(asked).toEqual(["shutdown"]);
    expect(notices).toEqual([expect.stringContaining("another build")]);
    expect((await client.status()).buildId).toBe(thisProgram().buildId);
  });

  test("one that comes back as another build again is used, not asked again and again", async () => {
    await using store = new OwnStore();
    let asked = 0;
    await using _old = await RawDaemon.start(store.socket, (message, say, socket) => {
      if (message.kind === "hello") say(daemonHello());
      if (message.kind !== "request") return;
      say({ kind: "result", id: message.id, value: message.method === "shutdown" ? null : [] });
      if (message.method === "shutdown") {
        asked += 1;
        socket.end();
      }
    });
    await using client = await store.connect();
    expect(await client.listRoots()).toEqual([]);
    expect(asked).toBe(1);
  });

  test("one that will not end is DAEMON_NOT_REPLACED", async () => {
    await using store = new OwnStore();
    await using _old = await RawDaemon.start(store.socket, (message, say) => {
      if (message.kind === "hello") say(daemonHello());
      if (message.kind === "request")
        say({ kind: "error", id: message.id, code: "PROTOCOL_METHOD_UNKNOWN", message: "", hint: "", details: {} });
    });
    await expect(store.connect()).rejects.toMatchObject({
      code: "DAEMON_NOT_REPLACED",
      details: { socket: store.socket },
    });
  });

  test("another build's daemon that does not trust us is used as it is", async () => {
    await using store = new OwnStore();
    const hello = daemonHello() as { daemon: object };
    await using _old = await RawDaemon.start(store.socket, (message, say) => {
      if (message.kind === "hello") say({ ...hello, daemon: { ...hello.daemon, role: "any" } });
      if (message.kind === "request") say({ kind: "result", id: message.id, value: [] });
    });
    await using client = await store.connect();
    expect(await client.listRoots()).toEqual([]);
  });
});

describe("a start that fails: DAEMON_START_FAILED", () => {
  test("the daemon says why", async () => {
    await using store = new OwnStore();
    const databases = join(store.root, "cloister/var/cloister/db");
    mkdirSync(databases, { recursive: true });
    writeFileSync(join(databases, "db.sqlite"), "this is no database ".repeat(500));
    await expect(store.connect()).rejects.toMatchObject({
      code: "DAEMON_START_FAILED",
      message: expect.stringContaining("STORE_DATABASE_UNUSABLE"),
      cause: expect.objectContaining({ code: "STORE_DATABASE_UNUSABLE" }),
    });
  });

  test("its last words are in the log", async () => {
    await using store = new OwnStore();
    vi.stubEnv("CLOISTER_STRENGTH", "iron");
    await expect(store.connect()).rejects.toMatchObject({
      code: "DAEMON_START_FAILED",
      details: { logTail: [expect.stringContaining("CONFIG_INVALID"), expect.anything()] },
    });
    vi.unstubAllEnvs();
  });

  test("there is no place for its log", async () => {
    await using store = new OwnStore();
    writeFileSync(join(store.root, "cloister"), "a file");
    await expect(store.connect()).rejects.toMatchObject({ code: "DAEMON_START_FAILED" });
  });
});

describe("where it is looked for", () => {
  test("a socket that is named is the only one", async () => {
    await using store = new OwnStore();
    const missing = join(store.root, "no-socket");
    await expect(connect({ socket: missing, root: store.root })).rejects.toMatchObject({
      code: "DAEMON_NOT_FOUND",
      details: { socket: missing },
    });
    vi.stubEnv("CLOISTER_SOCKET", missing);
    await expect(store.connect()).rejects.toMatchObject({ code: "DAEMON_NOT_FOUND" });
    vi.stubEnv("CLOISTER_SOCKET", "");
    await expect(store.connect({ start: false })).rejects.toMatchObject({ code: "DAEMON_NOT_FOUND" });
    await using _daemon = await RawDaemon.start(missing, (_, say) => say(daemonHello()));
    await using client = await connect({ socket: missing });
    expect(client.socket).toBe(missing);
  });

  test("a root of the environment, then the data directory", async () => {
    await using store = new OwnStore();
    vi.stubEnv("CLOISTER_ROOT", store.root);
    await using byRoot = await connect();
    expect(byRoot.socket).toBe(store.socket);
  });

  test("a socket that cannot be connected to: DAEMON_CONNECT_FAILED", async () => {
    const top = mkdtempSync(join(tmpdir(), "cloister-find-"));
    symlinkSync("loop", join(top, "loop"));
    await expect(connect({ socket: join(top, "loop", "socket") })).rejects.toMatchObject({
      code: "DAEMON_CONNECT_FAILED",
    });
    rmSync(top, { recursive: true });
  });

  test("a socket of another's: DAEMON_CONNECT_DENIED", async ({ skip }) => {
    skip(process.getuid?.() === 0, "needs an ordinary user");
    const top = mkdtempSync(join(tmpdir(), "cloister-find-"));
    mkdirSync(join(top, "closed"), { mode: 0 });
    await expect(connect({ socket: join(top, "closed", "socket") })).rejects.toMatchObject({
      code: "DAEMON_CONNECT_DENIED",
    });
    chmodSync(join(top, "closed"), 0o700);
    rmSync(top, { recursive: true });
  });
});

test("a client loads nothing of the daemon's half", () => {
  const { folder } = thisProgram();
  const script = `
    import { registerHooks } from "node:module";
    registerHooks({ load: (url, context, next) => (console.log(url), next(url, context)) });
    await import(process.argv[1]);
  `;
  const client = pathToFileURL(join(folder, "dist/daemon/client/find-daemon.js")).href;
  const { stdout, status } = spawnSync(process.execPath, ["--input-type=module", "-e", script, client], {
    encoding: "utf8",
  });
  expect(status).toBe(0);
  const ours = stdout.split("\n").filter((url) => url.startsWith(pathToFileURL(join(folder, "dist")).href));
  expect(ours.length).toBeGreaterThan(10);
  const folders = new Set(ours.map((url) => dirname(url).slice(pathToFileURL(join(folder, "dist/")).href.length)));
  expect(
    [...folders].filter((name) => !["daemon/client", "daemon/api"].includes(name) && !name.startsWith("derivations")),
  ).toEqual([]);
  expect(stdout).not.toContain("better-sqlite3");
});
