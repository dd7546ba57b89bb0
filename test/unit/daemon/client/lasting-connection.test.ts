import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
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
  top = mkdtempSync(join(tmpdir(), "cloister-lasting-"));
  socket = join(top, "socket");
});
afterEach(() => rmSync(top, { recursive: true }));

/** Opens another connection when that daemon is there. */
async function clientOf(next: Promise<unknown> = Promise.resolve()): Promise<Client> {
  const open = () => next.then(() => openConnection(socket));
  return new Client(new LastingConnection(await openConnection(socket), { open }));
}

/** A daemon that greets, sends so many bytes of any download, and then goes away. */
function dropping(byteCount: number): Answer {
  return (message, say, raw) => {
    if (message.kind === "hello") say(daemonHello());
    if (message.kind !== "request") return;
    if (byteCount > 0) say({ kind: "chunk", id: message.id, bytes: Buffer.alloc(byteCount, "x") });
    raw.end();
  };
}

/** A daemon that greets and sends "whole" as the contents of everything. */
const complete: Answer = (message, say) => {
  if (message.kind === "hello") say(daemonHello());
  if (message.kind !== "request") return;
  say({ kind: "chunk", id: message.id, bytes: Buffer.from("whole") }, { kind: "result", id: message.id, value: null });
};

test("a daemon of another store in the place of the first: DAEMON_OF_ANOTHER_STORE", async () => {
  const first = await RawDaemon.start(socket, (_, say) => say(daemonHello()));
  await using client = await clientOf();
  first.end();
  await client.closed;
  const { daemon } = daemonHello() as { daemon: object };
  const other = daemonHello({ daemon: { ...daemon, storeDirectory: "/other/store" } });
  await using _second = await RawDaemon.start(socket, (_, say) => say(other));
  await expect(client.status()).rejects.toMatchObject({ code: "DAEMON_OF_ANOTHER_STORE" });
});

test("a download of which nothing has come is begun again, and is whole", async () => {
  const first = await RawDaemon.start(socket, (message, say, raw) => {
    dropping(0)(message, say, raw);
    if (message.kind === "request") first.end();
  });
  const next = Promise.withResolvers<void>();
  await using client = await clientOf(next.promise);
  const bytes = collectBytes(client.readNar(path));
  await client.closed;
  await using _second = await RawDaemon.start(socket, complete);
  next.resolve();
  expect(Buffer.from(await bytes).toString()).toBe("whole");
});

test("a download that was cut in the middle is DAEMON_GONE, never two pieces put together", async () => {
  const first = await RawDaemon.start(socket, dropping(10));
  await using client = await clientOf();
  await expect(collectBytes(client.readNar(path))).rejects.toMatchObject({ code: "DAEMON_GONE" });
  first.end();
});
