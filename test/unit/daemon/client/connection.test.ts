import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Client } from "../../../../daemon/client/client.ts";
import { openConnection } from "../../../../daemon/client/connection.ts";
import { LastingConnection } from "../../../../daemon/client/lasting-connection.ts";
import { parseStorePath } from "../../../../derivations/store-path.ts";
import { collectBytes } from "../../../support/collect.ts";
import { type Answer, daemonHello, RawDaemon } from "../../../support/raw-daemon.ts";

const path = parseStorePath(`${"0".repeat(32)}-a`);
let top: string;
let socket: string;
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), "cloister-connection-"));
  socket = join(top, "socket");
});
afterEach(() => {
  rmSync(top, { recursive: true });
});

/** Greets, then answers requests. */
function answering(answer: Answer): Answer {
  return (message, say, raw) => {
    if (message.kind === "hello") say(daemonHello());
    else answer(message, say, raw);
  };
}

describe("what a daemon may answer", () => {
  test.each<[string, Answer, string]>([
    [
      "another major version",
      (_, say) => say(daemonHello({ protocol: { major: 99, minor: 0 } })),
      "PROTOCOL_VERSION_UNSUPPORTED",
    ],
    [
      "a hello without the daemon's part",
      (_, say) => say(daemonHello({ daemon: undefined })),
      "PROTOCOL_MESSAGE_INVALID",
    ],
    [
      "something else than a hello",
      (_, say) => say({ kind: "result", id: 1, value: null }),
      "PROTOCOL_MESSAGE_INVALID",
    ],
    ["garbage", (_, __, raw) => void raw.write("SSH-2.0-OpenSSH_9\r\n"), "PROTOCOL_FRAME_TOO_LONG"],
    [
      "a refusal",
      (_, say) => say({ kind: "error", code: "DAEMON_FULL", message: "m", hint: "h", details: {} }),
      "DAEMON_FULL",
    ],
    ["nothing, and closes", (_, __, raw) => void raw.destroy(), "DAEMON_GONE"],
  ])("%s instead of a hello", async (_, answer, code) => {
    await using _daemon = await RawDaemon.start(socket, answer);
    await expect(openConnection(socket)).rejects.toMatchObject({ code });
  });

  test("a value of another form is PROTOCOL_RESULT_INVALID, and the connection goes on", async () => {
    await using _daemon = await RawDaemon.start(
      socket,
      answering((message, say) => {
        if (message.kind === "request")
          say({ kind: "result", id: message.id, value: message.method === "queryPathInfo" ? 7 : [] });
      }),
    );
    await using client = new Client(new LastingConnection(await openConnection(socket)));
    await expect(client.queryPathInfo(path)).rejects.toMatchObject({ code: "PROTOCOL_RESULT_INVALID" });
    expect(await client.listRoots()).toEqual([]);
  });

  test("an error keeps its code, its details and its hint", async () => {
    const data = { code: "STORE_SOMETHING_NEW", message: "it is so", hint: "do this", details: { bytes: 2n ** 60n } };
    await using _daemon = await RawDaemon.start(
      socket,
      answering((message, say) => message.kind === "request" && say({ kind: "error", id: message.id, ...data })),
    );
    await using client = new Client(new LastingConnection(await openConnection(socket)));
    await expect(client.status()).rejects.toMatchObject(data);
  });

  test("an answer that nobody waits for, and one to a request that was cancelled", async () => {
    await using _daemon = await RawDaemon.start(
      socket,
      answering((message, say) => {
        if (message.kind === "cancel")
          say({ kind: "result", id: message.id, value: [] }, { kind: "result", id: 99, value: 1 });
        if (message.kind === "request" && message.method === "listRoots")
          say({ kind: "result", id: message.id, value: [] });
      }),
    );
    await using client = new Client(new LastingConnection(await openConnection(socket)));
    const stop = new AbortController();
    const asking = client.queryReferrers(path, { signal: stop.signal });
    stop.abort(new Error("not wanted any more"));
    await expect(asking).rejects.toThrow("not wanted any more");
    expect(await client.listRoots()).toEqual([]);
  });
});

test("parameters of another type are refused before they are sent: PROTOCOL_PARAMS_INVALID", async () => {
  await using _daemon = await RawDaemon.start(
    socket,
    answering(() => expect.unreachable()),
  );
  await using client = new Client(new LastingConnection(await openConnection(socket)));
  const wrong = client as unknown as { addNar(info: unknown, archive: unknown): Promise<void> };
  await expect(wrong.addNar({ path, references: null }, [])).rejects.toMatchObject({ code: "PROTOCOL_PARAMS_INVALID" });
});

test("more requests than may be open wait for their turn", async () => {
  let open = 0;
  let most = 0;
  await using _daemon = await RawDaemon.start(socket, (message, say) => {
    const hello = daemonHello() as { daemon: object };
    if (message.kind === "hello") say({ ...hello, daemon: { ...hello.daemon, openRequests: 3 } });
    if (message.kind !== "request") return;
    most = Math.max(most, ++open);
    setTimeout(() => {
      open -= 1;
      say({ kind: "result", id: message.id, value: [] });
    });
  });
  await using client = new Client(new LastingConnection(await openConnection(socket)));
  const answers = await Promise.all(Array.from({ length: 50 }, () => client.listRoots()));
  expect(answers).toHaveLength(50);
  expect(most).toBe(3);
});

test("a daemon that dies: DAEMON_GONE for all who wait, and for all who ask later", async () => {
  const daemon = await RawDaemon.start(
    socket,
    answering((message) => message.kind === "request" && daemon.end()),
  );
  const connection = await openConnection(socket, { readLogTail: () => ["the last words"] });
  const client = new Client(new LastingConnection(connection));
  const gone = { code: "DAEMON_GONE", details: { socket, logTail: ["the last words"] } };
  const all = await Promise.allSettled([client.status(), client.listRoots(), collectBytes(client.readNar(path))]);
  expect(all).toEqual(all.map(() => expect.objectContaining({ reason: expect.objectContaining(gone) })));
  await client.closed;
  await expect(client.status()).rejects.toMatchObject(gone);
  await expect(collectBytes(client.readNar(path))).rejects.toMatchObject(gone);
});

test("a signal ends the wait for a daemon that does not answer", async () => {
  await using _daemon = await RawDaemon.start(socket, () => {});
  const stop = new AbortController();
  const opening = openConnection(socket, { signal: stop.signal });
  setTimeout(() => stop.abort(new Error("too long")), 20);
  await expect(opening).rejects.toThrow("too long");
});

test("a directory that cannot be looked into", async () => {
  symlinkSync("loop", join(top, "loop"));
  await expect(openConnection(join(top, "loop", "socket"))).rejects.toMatchObject({ code: "ELOOP" });
});
