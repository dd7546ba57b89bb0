import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { packageFolder } from "../../../sandbox-native/pinned-node.mjs";

const folder = mkdtempSync(join(tmpdir(), "cloister-pack-"));
afterAll(() => rmSync(folder, { recursive: true }));

const run = (verb: string) =>
  spawnSync(process.execPath, [join(folder, "test/support/pack-manifest.mjs"), verb]).status;
const manifest = () => readFileSync(join(folder, "package.json"), "utf8");

test("the packed manifest has no pinned Node and no command of the checkout; afterwards it is byte for byte as before", () => {
  for (const file of ["package.json", "sandbox-native/pinned-node.mjs", "test/support/pack-manifest.mjs"]) {
    cpSync(join(packageFolder, file), join(folder, file));
  }
  const whole = manifest();

  expect(run("shorten")).toBe(0);
  const packed = JSON.parse(manifest());
  expect(JSON.stringify(packed)).not.toMatch(/node-linux/);
  expect(packed.scripts).toEqual({ install: "node sandbox-native/install.mjs" });
  expect(packed.dependencies).toEqual(JSON.parse(whole).dependencies);

  expect(run("shorten")).toBe(0); // an earlier run was interrupted
  expect(run("restore")).toBe(0);
  expect(manifest()).toBe(whole);
  expect(run("restore")).toBe(0);
  expect(manifest()).toBe(whole);
});
