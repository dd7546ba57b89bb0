import { expect, test } from "vitest";
import { probeMachine } from "../../../sandbox-native/probe.ts";
import { strengthsToTest } from "../../support/granted-strengths.ts";

test("the probe finds the strengths that builds can really have, and a remedy for what is wrong", async () => {
  const probe = await probeMachine();
  for (const { strength, missing } of await strengthsToTest()) {
    if (missing.startsWith("needs a static")) continue;
    expect([strength, probe.strengths[strength].ok]).toEqual([strength, missing === ""]);
  }
  for (const line of probe.lines) {
    expect(line.name).not.toBe("");
    expect(line.detail).not.toBe("");
    if (line.ok === false) expect(line.remedy ?? line.detail).toMatch(/\w+ \w+/);
  }
  const names = probe.lines.map(({ name }) => name);
  expect(names).toEqual(expect.arrayContaining(["kernel", "subordinate ids", "control groups", "open files"]));
});
