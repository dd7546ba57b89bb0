/** Logs: what was written comes back, while it is written, after it was compressed, and after a daemon that died. */
import { getEventListeners } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { BuildLogs, cutOffMarker } from "../../../store/build-logs.ts";
import { collect } from "../../support/collect.ts";

let directory: string;
let failures: unknown[];
let logs: BuildLogs;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "cloister-logs-"));
  failures = [];
  logs = new BuildLogs(directory, { flushMs: 20, onFailed: (error) => failures.push(error) });
});

afterEach(async () => {
  await logs[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true });
});

const read = async (id: string, options: { follow?: boolean; signal?: AbortSignal } = {}) =>
  Buffer.concat(await collect(logs.readLog(id, options))).toString();

test("a log can be read while it is written, when it has ended, and when it is compressed", async () => {
  const log = logs.openLog("abcdef");
  log.write(Buffer.from("one\n"));
  expect(await read("abcdef")).toBe("one\n");
  log.write(Buffer.from("two\n"));
  log.close();
  expect(await read("abcdef")).toBe("one\ntwo\n");
  await logs.settle();
  expect(existsSync(join(directory, log.file))).toBe(false);
  expect(existsSync(join(directory, `${log.file}.zst`))).toBe(true);
  expect(await read("abcdef")).toBe("one\ntwo\n");
  expect(failures).toEqual([]);
});

test("one who follows gets all of it, whenever he begins, and ends when the log does", async () => {
  const log = logs.openLog("follow");
  const early = read("follow", { follow: true });
  let text = "";
  for (let line = 0; line < 500; ++line) {
    const piece = `line ${line} ${"x".repeat(line)}\n`;
    text += piece;
    log.write(Buffer.from(piece));
    if (line % 100 === 0) await sleep(1);
  }
  const late = read("follow", { follow: true });
  await sleep(1);
  log.close();
  expect(await early).toBe(text);
  expect(await late).toBe(text);
});

test("one who follows a log for long listens to his signal once at a time", async () => {
  const log = logs.openLog("listening");
  const { signal } = new AbortController();
  let most = 0;
  let pieces = 0;
  log.write(Buffer.from("0\n"));
  for await (const _ of logs.readLog("listening", { follow: true, signal })) {
    pieces += 1;
    most = Math.max(most, getEventListeners(signal, "abort").length);
    if (pieces === 20) log.close();
    else log.write(Buffer.from(`${pieces}\n`));
  }
  expect(pieces).toBeGreaterThanOrEqual(20);
  expect(most).toBeLessThanOrEqual(1);
});

test("one who follows can leave", async () => {
  const log = logs.openLog("leave");
  log.write(Buffer.from("x"));
  const controller = new AbortController();
  const reading = read("leave", { follow: true, signal: controller.signal });
  await sleep(5);
  controller.abort();
  await expect(reading).rejects.toThrow();
  log.close();
});

test("what was written is in the file soon, without anyone asking", async () => {
  const log = logs.openLog("soon-on-disk");
  log.write(Buffer.from("hello"));
  const path = join(directory, log.file);
  for (let attempt = 0; attempt < 500 && !existsSync(path); ++attempt) await sleep(10);
  expect(readFileSync(path, "utf8")).toBe("hello");
  log.close();
});

test("a build that wrote nothing has an empty log and no file", async () => {
  logs.openLog("silent").close();
  await logs.settle();
  expect(await read("silent")).toBe("");
  expect(await read("never-was")).toBe("");
});

test("the log that a dead daemon left ends with a marker, once, and is compressed", async () => {
  mkdirSync(join(directory, "builds/de"), { recursive: true });
  writeFileSync(join(directory, "builds/de/ad.log"), "half a li");
  writeFileSync(join(directory, "builds/de/ad.log.zst.tmp"), "half compressed");
  logs.adopt(() => true);
  expect(await read("dead")).toBe(`half a li${cutOffMarker}`);
  await logs.settle();
  expect(await read("dead")).toBe(`half a li${cutOffMarker}`);
  expect(logs.findFile("dead")).toBe("builds/de/ad.log");
  expect(existsSync(join(directory, "builds/de/ad.log.zst.tmp"))).toBe(false);

  writeFileSync(join(directory, "builds/de/af.log"), `marked${cutOffMarker}`); // killed again before it was compressed
  logs.adopt(() => true);
  await logs.settle();
  expect(await read("deaf")).toBe(`marked${cutOffMarker}`);
});

test("a log that was whole and only not compressed when its daemon died has no marker", async () => {
  mkdirSync(join(directory, "builds/wh"), { recursive: true });
  writeFileSync(join(directory, "builds/wh/ole.log"), "all of it\n");
  logs.adopt((id) => id !== "whole");
  await logs.settle();
  expect(await read("whole")).toBe("all of it\n");
  expect(logs.findFile("whole")).toBe("builds/wh/ole.log");
  expect(logs.findFile("none")).toBe(undefined);
});

test("a log that cannot be written ends no build, and says so", async () => {
  writeFileSync(join(directory, "builds"), "a file where a directory should be");
  const log = logs.openLog("nowhere");
  log.write(Buffer.from("x".repeat(100_000)));
  log.write(Buffer.from("y"));
  log.close();
  expect(log.failure).toMatchObject({ code: "ENOTDIR" });
  expect(failures.length).toBe(1);
  expect(log.size).toBe(0);
});

test("an id that is no name is refused", () => {
  for (const id of ["..", "a/b", "ab", "../../etc", "a\0bc"]) expect(() => logs.openLog(id)).toThrow(RangeError);
});
