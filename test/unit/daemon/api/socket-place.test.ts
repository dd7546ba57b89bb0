import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import {
  logFileOf,
  openSocketPlace,
  socketOf,
  stateDirectoryOf,
  systemSocket,
} from "../../../../daemon/api/socket-place.ts";
import { parseStoreDirectory } from "../../../../derivations/store-path.ts";
import { makeLayout } from "../../../../store/layout.ts";

test("client and store agree on where the state lies", () => {
  for (const place of [
    { root: "/home/ada/.local/share/cloister", storeDirectory: "/cloister/store" },
    { root: "/srv", storeDirectory: "/nix/store" },
    { root: "/srv", storeDirectory: "/gnu/store", stateDirectory: "/var/guix" },
    { root: "/", storeDirectory: "/nix/store" },
  ]) {
    const layout = makeLayout({ ...place, storeDirectory: parseStoreDirectory(place.storeDirectory) });
    expect(stateDirectoryOf(place)).toBe(layout.stateDirectory);
    expect(socketOf(place)).toBe(layout.socketPath);
    expect(logFileOf(place)).toBe(join(layout.logDirectory, "daemon.log"));
  }
});

test("the system's own store has its socket where everybody looks", () => {
  expect(socketOf({ root: "/" })).toBe(systemSocket);
  expect(socketOf({ root: "/srv" })).toBe("/srv/cloister/var/cloister/socket");
});

test("a socket 200 bytes deep is reached", async () => {
  const top = mkdtempSync(join(tmpdir(), "cloister-deep-"));
  try {
    const directory = join(top, "d".repeat(100), "e".repeat(100));
    mkdirSync(directory, { recursive: true });
    using place = openSocketPlace(join(directory, "socket"));
    const server = createServer((socket) => socket.end("hello")).listen(place.path);
    await new Promise((resolve) => server.once("listening", resolve));
    const words = await new Promise<string>((resolve, reject) => {
      const socket = connect(place.path).once("error", reject);
      socket.once("data", (data) => resolve(data.toString()));
    });
    expect(words).toBe("hello");
    server.close();
  } finally {
    rmSync(top, { recursive: true });
  }
});
