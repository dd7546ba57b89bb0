import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, statSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { packageFolder } from "../../../sandbox-native/pinned-node.mjs";

const install = join(packageFolder, "sandbox-native/install.mjs");
const programs = mkdtempSync(join(tmpdir(), "cloister-install-"));
afterAll(() => rmSync(programs, { recursive: true }));

test("each missing program is one line that names the package to install", () => {
  symlinkSync("/bin/true", join(programs, "make"));
  const { status, stdout, stderr } = spawnSync(process.execPath, [install], {
    env: { PATH: programs },
    encoding: "utf8",
  });
  expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
  expect(stderr.trimEnd().split("\n")).toEqual([
    "cloister: g++ is missing; install it with: apt-get install g++",
    "cloister: python3 is missing; install it with: apt-get install python3",
  ]);
});

test("what is compiled already is not compiled again, and nothing is said", () => {
  const launcher = join(packageFolder, "sandbox-native/build/Release/cloister-launcher");
  expect(existsSync(launcher)).toBe(true);
  const before = statSync(launcher).mtimeMs;
  const { status, stdout, stderr } = spawnSync(process.execPath, [install], { encoding: "utf8" });
  expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: "", stderr: "" });
  expect(statSync(launcher).mtimeMs).toBe(before);
});
