import { describe, expect, test } from "vitest";
import { exitStatusOf, printPlan } from "../../../../daemon/cli/build-progress.ts";
import { parseStorePath } from "../../../../derivations/store-path.ts";

const drvPath = parseStorePath("00bgd045z0d4icpbc2yyz4gx48ak44la-net-tools-1.60.drv");

function plan(names: readonly string[], alreadyValid: number): string {
  return printPlan({ kind: "plan", toBuild: names.map((name) => ({ drvPath, name })), alreadyValid }, 2);
}

describe("the plan line", () => {
  test.each([
    [[], 3, "nothing to build: all is there"],
    [["a"], 0, "plan: 1 build (a)"],
    [["a", "b"], 1, "plan: 2 builds (a, b); 1 output is there"],
    [["a", "b", "c", "d", "e", "f", "g"], 2, "plan: 7 builds (a, b, c, d, e, and 2 more); 2 outputs are there"],
    [["a\u001b[2Jb\nc"], 0, "plan: 1 build (ab⏎c)"],
  ])("%j with %i there", (names, there, line) => {
    expect(plan(names, there)).toBe(line);
  });
});

test("the exit status is 0 only if every target is there", () => {
  const of = (...statuses: ("built" | "already-valid" | "failed" | "cancelled")[]) =>
    exitStatusOf(statuses.map((status) => ({ drvPath, status, outputs: {} })));
  expect([of(), of("built", "already-valid"), of("built", "failed"), of("cancelled")]).toEqual([0, 0, 1, 1]);
});
