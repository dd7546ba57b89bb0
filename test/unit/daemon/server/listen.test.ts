import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openSocketPlace } from "../../../../daemon/api/socket-place.ts";
import { type Listener, listen } from "../../../../daemon/server/listen.ts";
import type { PeerCredentials } from "../../../../daemon/server/trust.ts";

let top: string;
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), "cloister-listen-"));
});
afterEach(() => {
  rmSync(top, { recursive: true });
});

function listenAt(socket: string, mode = 0o600, onPeer: (peer: PeerCredentials) => void = () => {}): Promise<Listener> {
  return listen({
    ...{ socket, mode },
    onConnection: (raw, peer) => {
      onPeer(peer);
      raw.end();
    },
    onError: (error) => {
      throw error;
    },
  });
}

function canConnect(socket: string): Promise<boolean> {
  using place = openSocketPlace(socket);
  return new Promise((resolve) => {
    const raw = connect(place.path);
    raw.once("connect", () => resolve(true)).once("error", () => resolve(false));
    raw.resume();
  });
}

test.each([0o600, 0o666])("the socket has its mode, and nothing else is left beside it", async (mode) => {
  const before = process.umask(0o022);
  try {
    const listener = await listenAt(join(top, "socket"), mode);
    expect(statSync(join(top, "socket")).mode & 0o777).toBe(mode);
    expect(readdirSync(top)).toEqual(["socket"]);
    await listener.close();
    expect(readdirSync(top)).toEqual([]);
  } finally {
    process.umask(before);
  }
});

/** Node's own getgroups() adds the effective one, which may not be among them. */
function supplementaryGroups(): number[] {
  const line = /^Groups:(.*)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "";
  return line
    .split(" ")
    .filter((gid) => gid.trim() !== "")
    .map(Number);
}

test("the kernel says who connects", async () => {
  const socket = join(top, "socket");
  const peer = Promise.withResolvers<PeerCredentials>();
  const listener = await listenAt(socket, 0o600, peer.resolve);
  expect(await canConnect(socket)).toBe(true);
  const { groups = [], ...rest } = await peer.promise;
  expect(rest).toEqual({ pid: process.pid, uid: process.getuid?.(), gid: process.getgid?.() });
  const sorted = (gids: readonly number[]) => [...gids].sort((a, b) => a - b);
  expect(sorted(groups)).toEqual(sorted(supplementaryGroups()));
  await listener.close();
});

test("a directory 200 bytes deep, which is made", async () => {
  const socket = join(top, "d".repeat(100), "e".repeat(100), "socket");
  const listener = await listenAt(socket);
  expect(await canConnect(socket)).toBe(true);
  await listener.close();
  expect(existsSync(socket)).toBe(false);
});

test("a live socket is not taken: SOCKET_IN_USE", async () => {
  const socket = join(top, "socket");
  const first = await listenAt(socket);
  await expect(listenAt(socket)).rejects.toMatchObject({ code: "SOCKET_IN_USE", details: { socket } });
  expect(await canConnect(socket)).toBe(true);
  await first.close();
});

test("what a dead daemon left is replaced", async () => {
  const socket = join(top, "socket");
  const stale = createServer().listen(join(top, "made-first"));
  await new Promise((resolve) => stale.once("listening", resolve));
  writeFileSync(socket, "not even a socket");
  const listener = await listenAt(socket);
  expect(await canConnect(socket)).toBe(true);
  await listener.close();
  stale.close();
});

test("a socket that another daemon made in its place is left alone", async () => {
  const socket = join(top, "socket");
  const first = await listenAt(socket);
  rmSync(socket);
  const second = await listenAt(socket);
  await first.close();
  expect(await canConnect(socket)).toBe(true);
  await second.close();
});

test("where none can be made: SOCKET_UNUSABLE", async () => {
  writeFileSync(join(top, "file"), "");
  await expect(listenAt(join(top, "file", "socket"))).rejects.toMatchObject({ code: "SOCKET_UNUSABLE" });
  mkdirSync(join(top, "socket", "occupied"), { recursive: true });
  await expect(listenAt(join(top, "socket"))).rejects.toMatchObject({ code: "SOCKET_UNUSABLE" });
  expect(readdirSync(top).sort()).toEqual(["file", "socket"]);
});
