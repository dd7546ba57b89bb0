/** One owner per store, and one at a time per path. */
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parseStorePath } from "../../../derivations/store-path.ts";
import { processStartTime } from "../../../sandbox-native/posix.ts";
import { PathLocks } from "../../../store/locks.ts";
import { openStore } from "../../../store/store.ts";
import { PlainTreeWriter } from "../../support/plain-tree-writer.ts";
import { storeDirectory, TemporaryStore, temporaryStore } from "../../support/temporary-store.ts";

const [a, b, c] = ["a", "b", "c"].map((digit) => parseStorePath(`${digit.repeat(32)}-x`)) as [
  ReturnType<typeof parseStorePath>,
  ReturnType<typeof parseStorePath>,
  ReturnType<typeof parseStorePath>,
];

test("a second owner is refused with the pid of the first, and let in when that has closed", async () => {
  await using temporary = await temporaryStore();
  let started = 0;
  const second = () =>
    openStore({
      storeDirectory,
      root: temporary.root,
      startWriter: async (layout) => {
        ++started;
        return new PlainTreeWriter(layout);
      },
    });
  await expect(second()).rejects.toMatchObject({ code: "STORE_IN_USE", details: { pid: process.pid } });
  expect(started).toBe(0); // nothing of the first one's was swept
  await temporary.close();
  await (await second())[Symbol.asyncDispose]();
});

test("the launcher that a killed owner left is ended before a new one starts", async () => {
  await using temporary = new TemporaryStore();
  await temporary.open();
  const { lockFile } = temporary.store.layout;
  await temporary.close();
  const left = spawn("sleep", ["1000"], { stdio: "ignore" });
  const pid = left.pid as number;
  writeFileSync(lockFile, `daemon 999999999 1\nlauncher ${pid} ${processStartTime(pid)}\n`);
  let wasAlive: boolean | undefined;
  const exited = new Promise((resolve) => left.once("exit", (_, signal) => resolve(signal)));
  await temporary.open({
    startWriter: async (layout) => {
      wasAlive = isAlive(pid);
      return new PlainTreeWriter(layout);
    },
  });
  expect(wasAlive).toBe(false);
  expect(await exited).toBe("SIGKILL");
});

test("a process that has the launcher's pid by chance is left alone", async () => {
  await using temporary = new TemporaryStore();
  await temporary.open();
  const { lockFile } = temporary.store.layout;
  await temporary.close();
  writeFileSync(lockFile, `daemon 999999999 1\nlauncher ${process.pid} 1\n`);
  await temporary.open();
});

test("the lock file names daemon and launcher with their start times", async () => {
  await using temporary = new TemporaryStore();
  await temporary.open({
    startWriter: async (layout) => Object.assign(new PlainTreeWriter(layout), { pid: process.ppid }),
  });
  expect(readFileSync(temporary.store.layout.lockFile, "utf8")).toBe(
    `daemon ${process.pid} ${processStartTime(process.pid)}\nlauncher ${process.ppid} ${processStartTime(process.ppid)}\n`,
  );
});

test("a writer that does not start leaves the store to the next owner", async () => {
  await using temporary = new TemporaryStore();
  await expect(temporary.open({ startWriter: () => Promise.reject(new Error("no launcher")) })).rejects.toThrow(
    "no launcher",
  );
  await temporary.open();
});

test("path locks are taken one after the other, in the order they were asked for, and never lock up", async () => {
  const locks = new PathLocks();
  const order: string[] = [];
  const work = async (name: string, paths: (typeof a)[]) => {
    using _lock = await locks.acquire(paths);
    order.push(`${name} in`);
    await new Promise((resolve) => setImmediate(resolve));
    order.push(`${name} out`);
  };
  await Promise.all([work("1", [a, b]), work("2", [b, a]), work("3", [c, b]), work("4", [a])]);
  for (let index = 0; index < order.length; ++index) {
    const [name, what] = (order[index] ?? "").split(" ");
    if (what === "in" && name !== "4" && name !== "3") expect(order[index + 1]).toBe(`${name} out`);
  }
  expect(order.length).toBe(8);
  expect([a, b, c].some((path) => locks.isLocked(path))).toBe(false);
  const held = locks.tryAcquire([a]);
  expect(locks.tryAcquire([b, a])).toBeUndefined();
  expect(locks.isLocked(b)).toBe(false);
  held?.[Symbol.dispose]();
});

function isAlive(pid: number): boolean {
  const status = tryRead(`/proc/${pid}/status`);
  return status !== undefined && !/^State:\s+Z/m.test(status);
}

function tryRead(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}
