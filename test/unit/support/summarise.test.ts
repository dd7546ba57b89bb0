import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { packageFolder } from "../../../sandbox-native/pinned-node.mjs";

const folder = mkdtempSync(join(tmpdir(), "cloister-summary-"));
afterAll(() => rmSync(folder, { recursive: true }));

function report(
  name: string,
  results: { name: string; status: string; message?: string; assertionResults: object[] }[],
) {
  const file = join(folder, `${name}.json`);
  writeFileSync(file, JSON.stringify({ testResults: results.map((result) => ({ message: "", ...result })) }));
  return file;
}

function summarise(steps: string, ...reports: string[]) {
  writeFileSync(join(folder, "steps"), steps);
  const script = join(packageFolder, "test/support/summarise.mjs");
  const { status, stdout } = spawnSync(process.execPath, [script, join(folder, "steps"), ...reports], {
    encoding: "utf8",
  });
  return { status, lines: stdout.trimEnd().split("\n") };
}

const passed = { fullName: "adds", status: "passed" };
const skipped = { fullName: "needs a peer", status: "pending" };

test("the runs are summed, and what was skipped is named with where it ran", () => {
  const root = report("root", [{ name: "/x/test/a.test.ts", status: "passed", assertionResults: [passed, skipped] }]);
  const user = report("user", [
    { name: "/y/test/a.test.ts", status: "passed", assertionResults: [skipped, passed] },
    { name: "/y/test/b.test.ts", status: "passed", assertionResults: [passed] },
  ]);
  expect(summarise("passed tidy\n", root, user)).toEqual({
    status: 0,
    lines: ["skipped in root, user (so it ran nowhere): test/a.test.ts: needs a peer", "4 passed, 0 failed, 2 skipped"],
  });
});

test("a failed test, a file that cannot be loaded, a run without a report and a failed step each count", () => {
  const bad = report("bad", [
    { name: "/x/test/a.test.ts", status: "failed", assertionResults: [{ fullName: "adds", status: "failed" }] },
    { name: "/x/test/b.test.ts", status: "failed", message: "Error: no such module\n at x", assertionResults: [] },
  ]);
  expect(summarise("failed tidy checks\n", bad, join(folder, "none.json"))).toEqual({
    status: 1,
    lines: [
      "FAILED step: tidy checks",
      "FAILED bad: test/a.test.ts: adds",
      "FAILED bad: test/b.test.ts: Error: no such module",
      "FAILED none: it wrote no report",
      "0 passed, 4 failed, 0 skipped",
    ],
  });
});

test("a run of no test at all is no success", () => {
  expect(summarise("")).toEqual({ status: 1, lines: ["0 passed, 0 failed, 0 skipped"] });
});
