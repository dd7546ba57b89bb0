import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { AuditLog } from "../../../../daemon/server/audit-log.ts";
import { openLogger } from "../../../../daemon/server/logger.ts";

let folder: string;
let file: string;
let nowMs = 0;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "cloister-audit-"));
  file = join(folder, "log", "audit.log");
  nowMs = Date.UTC(2026, 10, 25);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const open = (limitBytes?: number) =>
  new AuditLog({
    ...{ file, log: openLogger("silent", { readable: false }), now: () => nowMs },
    ...(limitBytes !== undefined && { limitBytes }),
  });
const caller = (uid = 1001) => ({ uid, gid: 100, pid: 42 });
const read = (name = file) =>
  readFileSync(name, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);

test("each line says when, what, who and what for, and is there at once", () => {
  using audit = open();
  expect(existsSync(file)).toBe(false);
  audit.note({
    outcome: "allowed",
    operation: "removeRoot",
    caller: caller(),
    details: { from: "a\n\u001b[2J", n: 5n },
  });
  expect(read()).toEqual([
    {
      ...{
        time: "2026-11-25T00:00:00.000Z",
        outcome: "allowed",
        operation: "removeRoot",
        uid: 1001,
        gid: 100,
        pid: 42,
      },
      details: { from: "a\n\u001b[2J", n: "5" },
    },
  ]);
  expect(readFileSync(file, "latin1")).not.toContain("\u001b");
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

test("of what one user is refused again and again one line is left in ten seconds, which counts the rest", () => {
  {
    using audit = open();
    for (let count = 0; count < 500; ++count)
      audit.note({ outcome: "refused", operation: "connect", caller: caller() });
    audit.note({ outcome: "refused", operation: "connect", caller: caller(1002) });
    audit.note({ outcome: "refused", operation: "shutdown", caller: caller() });
    audit.note({ outcome: "allowed", operation: "shutdown", caller: caller() });
    audit.note({ outcome: "allowed", operation: "shutdown", caller: caller() });
    expect(read().map(({ uid, operation }) => `${uid} ${operation}`)).toEqual([
      ...["1001 connect", "1002 connect", "1001 shutdown", "1001 shutdown", "1001 shutdown"],
    ]);
    nowMs += 10_000;
    audit.note({ outcome: "refused", operation: "connect", caller: caller() });
    expect(read().at(-1)).toMatchObject({ uid: 1001, operation: "connect", repeatsBefore: 499 });
    audit.note({ outcome: "refused", operation: "connect", caller: caller() });
  }
  expect(read().at(-1)).toMatchObject({ uid: 1001, operation: "connect", repeatsBefore: 1 });
});

test("it is bounded: older files are put aside and the oldest goes, and a line that is too long loses its details", () => {
  using audit = open(3000);
  for (let count = 0; count < 200; ++count)
    audit.note({ outcome: "allowed", operation: "removeRoot", caller: caller(), details: { from: `root ${count}` } });
  const names = readdirSync(join(folder, "log")).sort();
  expect(names).toEqual(["audit.log", "audit.log.1", "audit.log.2", "audit.log.3", "audit.log.4"]);
  for (const name of names) expect(statSync(join(folder, "log", name)).size).toBeLessThanOrEqual(3000);
  const lines = [...names].reverse().flatMap((name) => read(join(folder, "log", name)));
  expect(lines.at(-1)).toMatchObject({ details: { from: "root 199" } });
  const numbers = lines.map(({ details }) => Number((details as { from: string }).from.slice(5)));
  expect(numbers).toEqual(numbers.map((_, index) => 200 - numbers.length + index));

  audit.note({ outcome: "allowed", operation: "removeRoot", caller: caller(), details: { from: "x".repeat(100_000) } });
  expect(read().at(-1)).toMatchObject({ operation: "removeRoot", detailsCut: true });
});

test("a later daemon goes on with the same file", () => {
  for (const operation of ["reload", "shutdown"]) {
    using audit = open();
    audit.note({ outcome: "allowed", operation, caller: caller() });
  }
  expect(read().map(({ operation }) => operation)).toEqual(["reload", "shutdown"]);
});
