import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findGroupsRemedy, probeMachine } from "../../../sandbox-native/probe.ts";
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

describe("the remedy for control groups fits those that are mounted", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "cloister-groups-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const put = (...files: readonly string[]) => {
    for (const file of files) {
      mkdirSync(join(folder, dirname(file)), { recursive: true });
      writeFileSync(join(folder, file), "");
    }
  };

  test("version 1: the command makes a group for each controller that is there, and nothing else", async () => {
    put("memory/tasks", "pids/tasks", "cpuset/tasks", "unified/cgroup.controllers");
    const remedy = await findGroupsRemedy(folder);
    expect(remedy).toContain("CLOISTER_CGROUP_ROOT=/cloister");
    const { status, stderr } = spawnSync("sh", ["-c", `sudo() { "$@"; }; ${remedy}`], { encoding: "utf8" });
    expect([status, stderr]).toEqual([0, ""]);
    expect(readdirSync(folder).toSorted()).toEqual(["cpuset", "memory", "pids", "unified"]);
    for (const controller of ["memory", "pids"])
      expect(readdirSync(join(folder, controller))).toEqual(["cloister", "tasks"]);
  });

  test("version 2: delegation, even where no controller was handed on", async () => {
    put("cgroup.controllers");
    expect(await findGroupsRemedy(folder)).toMatch(/Delegate=yes/);
  });

  test("none: they are to be mounted", async () => {
    expect(await findGroupsRemedy(folder)).toContain(`mount -t cgroup2 cgroup2 ${folder}`);
  });
});
