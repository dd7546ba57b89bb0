import { expect, test } from "vitest";
import { ServerError } from "../../../../daemon/server/errors.ts";
import { errorFields, readableLine } from "../../../../daemon/server/logger.ts";

test("a line for a person: time, level, message, fields, and nothing that a terminal obeys", () => {
  const line = { level: 40, time: "2026-01-02T03:04:05.678Z", uid: 1000, name: "\u001b[31mred\n", msg: "odd \u009b" };
  const shown = readableLine(JSON.stringify(line));
  expect(shown).toMatch(/^\d\d:\d\d:\d\d warn {2}odd .*uid: 1000, name: .*red/);
  expect(shown.slice(0, -1)).toMatch(/^[\x20-\x7e]*$/);
  expect(shown.endsWith("\n")).toBe(true);
});

test("an error's code and details are fields", () => {
  const { err } = errorFields(new ServerError("DAEMON_FULL", { limit: 3 }));
  expect(err).toMatchObject({ code: "DAEMON_FULL", details: { limit: 3 } });
  expect(readableLine(JSON.stringify({ level: 50, time: "2026-01-02T03:04:05Z", err, msg: "no" }))).toContain(
    "[DAEMON_FULL]",
  );
});
