import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { describe, expect, test } from "vitest";
import {
  bootId,
  killProcess,
  lockFile,
  openDirectory,
  peerCredentials,
  processStartTime,
  readLinkAt,
  syncFileSystem,
  waitForProcessEnd,
} from "../../../sandbox-native/posix.ts";
import { makeTemporaryFolder } from "./disk-trees.ts";

/** Whether another process gets the lock, by the flock program. */
function canBeLocked(file: string, mode: "-x" | "-s"): boolean {
  return spawnSync("flock", [mode, "-n", file, "true"]).status === 0;
}

describe("lockFile", () => {
  test("keeps others out until it is disposed of, and says undefined to them", () => {
    using folder = makeTemporaryFolder();
    const file = folder.join("lock");
    const lock = lockFile(file, { exclusive: true, wait: false });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(canBeLocked(file, "-s")).toBe(false);
    expect(lockFile(file, { exclusive: false, wait: false })).toBeUndefined();
    lock?.[Symbol.dispose]();
    expect(canBeLocked(file, "-x")).toBe(true);
    lock?.[Symbol.dispose](); // a second time is no harm
  });

  test("lets shared ones be together", () => {
    using folder = makeTemporaryFolder();
    using first = lockFile(folder.join("lock"), { exclusive: false, wait: false });
    using second = lockFile(folder.join("lock"), { exclusive: false, wait: false });
    expect([first, second]).not.toContain(undefined);
    expect(canBeLocked(folder.join("lock"), "-x")).toBe(false);
  });

  test("replaces what the file says, also by something shorter", () => {
    using folder = makeTemporaryFolder();
    using lock = lockFile(folder.join("lock"), { exclusive: true, wait: false });
    for (const text of ["a long first text\n", "short\n", ""]) {
      lock?.write(text);
      expect(readFileSync(folder.join("lock"), "utf8")).toBe(text);
    }
  });

  test("ends with the process that has it", async () => {
    using folder = makeTemporaryFolder();
    const file = folder.join("lock");
    const module = new URL("../../../sandbox-native/posix.ts", import.meta.url).href;
    const code = `const { lockFile } = await import(${JSON.stringify(module)});
      globalThis.lock = lockFile(${JSON.stringify(file)}, { exclusive: true, wait: false });
      console.log("locked"); setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", code], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(child.stdout, "data");
    expect(lockFile(file, { exclusive: true, wait: false })).toBeUndefined();
    child.kill("SIGKILL");
    await once(child, "exit");
    using lock = lockFile(file, { exclusive: true, wait: false });
    expect(lock).toBeDefined();
  });

  test("goes through no symbolic link", () => {
    using folder = makeTemporaryFolder();
    symlinkSync("elsewhere", folder.join("lock"));
    expect(() => lockFile(folder.join("lock"), { exclusive: true, wait: false })).toThrow(
      expect.objectContaining({ code: "POSIX_CALL_FAILED" }),
    );
    expect(existsSync(folder.join("elsewhere"))).toBe(false);
  });
});

describe("openDirectory", () => {
  test("holds a directory whatever happens to its name, and can be synced", async () => {
    using folder = makeTemporaryFolder();
    mkdirSync(folder.join("a"));
    using held = openDirectory(folder.join("a"));
    expect(held.path).toBe(folder.join("a"));
    renameSync(folder.join("a"), folder.join("b"));
    writeFileSync(`/proc/self/fd/${held.fd}/file`, "x");
    expect(readFileSync(folder.join("b", "file"), "utf8")).toBe("x");
    await expect(syncFileSystem(held.fd)).resolves.toBeUndefined();
  });

  test("says what is wrong", async () => {
    using folder = makeTemporaryFolder();
    expect(() => openDirectory(folder.join("nothing"))).toThrow(
      expect.objectContaining({
        code: "POSIX_CALL_FAILED",
        details: expect.objectContaining({ errnoName: "ENOENT", path: folder.join("nothing") }) as unknown,
      }),
    );
    await expect(syncFileSystem(-1)).rejects.toMatchObject({ details: { step: "syncfs", errnoName: "EBADF" } });
  });
});

test("peerCredentials tells who connected", async () => {
  using folder = makeTemporaryFolder();
  const server = createServer();
  server.listen(folder.join("socket"));
  await once(server, "listening");
  const client = connect(folder.join("socket"));
  const [accepted] = (await once(server, "connection")) as [Socket & { _handle: { fd: number } }];
  const gid = process.getgid?.();
  const { groups = [], ...peer } = peerCredentials(accepted._handle.fd);
  expect(peer).toEqual({ pid: process.pid, uid: process.getuid?.(), gid });
  expect(new Set([gid, ...groups])).toEqual(new Set([gid, ...(process.getgroups?.() ?? [])]));
  for (const socket of [client, accepted]) socket.destroy();
  server.close();
});

describe("processes", () => {
  test("are waited for and ended, anyone's: this one is a grandchild", async () => {
    const parent = spawn("sh", ["-c", "sleep 1000 & echo $!; wait"], { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = (await once(parent.stdout, "data")) as [Buffer];
    const pid = Number(line);
    const startTime = processStartTime(pid) ?? "";
    expect(startTime).toMatch(/^[1-9][0-9]*$/);
    let hasEnded = false;
    const end = waitForProcessEnd(pid, startTime).then(() => {
      hasEnded = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(hasEnded).toBe(false);
    killProcess(pid, startTime);
    await end;
    await once(parent, "exit");
    expect(processStartTime(pid)).toBeUndefined();
    await waitForProcessEnd(pid, startTime); // gone already
    killProcess(pid, startTime);
  });

  test("of the same pid but another start are let alone", async () => {
    const child = spawn("sleep", ["1000"]);
    await once(child, "spawn");
    const pid = child.pid ?? 0;
    killProcess(pid, "1");
    await waitForProcessEnd(pid, "1");
    expect(child.exitCode).toBeNull();
    child.kill("SIGKILL");
    expect(await once(child, "exit")).toEqual([null, "SIGKILL"]);
  });

  test("have a start time even if their names are made to confuse", async () => {
    using folder = makeTemporaryFolder();
    const program = folder.join("a) S 1 (b");
    symlinkSync("/bin/sleep", program);
    const child = spawn(program, ["1000"]);
    await once(child, "spawn");
    const ownStart = Number(processStartTime(process.pid));
    expect(Number(processStartTime(child.pid ?? 0))).toBeGreaterThanOrEqual(ownStart);
    child.kill("SIGKILL");
    await once(child, "exit");
  });
});

test("bootId is the kernel's, readLinkAt reads links and nothing else", () => {
  using folder = makeTemporaryFolder();
  expect(bootId()).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  symlinkSync("anywhere", folder.join("link"));
  writeFileSync(folder.join("file"), "");
  expect(["link", "file", "nothing", "file/x"].map((name) => readLinkAt(folder.join(name)))).toEqual([
    "anywhere",
    undefined,
    undefined,
    undefined,
  ]);
  rmSync(folder.join("link"));
});
