import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { isNewEnough, packageFolder } from "../../../sandbox-native/pinned-node.mjs";

/** A package of our bin, what it asks first, and a program that says under which Node it was run. */
const folder = mkdtempSync(join(tmpdir(), "cloister-pinned-"));
const bin = join(folder, "daemon/cli/bin.js");
const pinned = join(folder, "node_modules", `node-linux-${process.arch}`, "bin");
/** Makes Node take itself for an older one; the child that it starts knows better. */
const asNode20 = ["--import", 'data:text/javascript,Object.defineProperty(process.versions,"node",{value:"20.20.2"})'];

beforeAll(() => {
  const bins = ["daemon/cli/bin.js", "daemon/compiled-code.mjs", "dist/daemon/definitions/cache-directory.js"];
  for (const file of [...bins, "sandbox-native/pinned-node.mjs", "sandbox-native/run-program.mjs"]) {
    cpSync(join(packageFolder, file), join(folder, file));
  }
  mkdirSync(join(folder, "dist/daemon/cli"), { recursive: true });
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  const program =
    "export async function main(argv) { console.log(process.versions.node, ...argv); return Number(argv[0]); }";
  writeFileSync(join(folder, "dist/daemon/cli/main.js"), program);
});
afterAll(() => rmSync(folder, { recursive: true }));

test("the oldest Node that will do is 22.19", () => {
  expect(["22.19.0", "22.20.1", "24.0.0", "26.1.0"].filter(isNewEnough)).toHaveLength(4);
  expect(["18.20.0", "20.20.2", "22.18.9"].filter(isNewEnough)).toEqual([]);
});

test("a Node that will do runs the program itself, with its arguments and its exit status", () => {
  const { status, stdout } = spawnSync(process.execPath, [bin, "3", "x"], { encoding: "utf8" });
  expect({ status, stdout }).toEqual({ status: 3, stdout: `${process.versions.node} 3 x\n` });
});

test("a Node that is too old says so in one line and ends with 2, before anything else is loaded", () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [...asNode20, bin, "3"], { encoding: "utf8" });
  expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
  expect(stderr).toMatch(/^cloister needs Node 22\.19 or newer, this is 20\.20\.2 .*\n$/);
});

test("in a checkout a Node that is too old hands over to the pinned one, whose ending is its own", () => {
  mkdirSync(pinned, { recursive: true });
  symlinkSync(process.execPath, join(pinned, "node"));
  const { status, stdout } = spawnSync(process.execPath, [...asNode20, bin, "3", "x"], { encoding: "utf8" });
  expect({ status, stdout }).toEqual({ status: 3, stdout: `${process.versions.node} 3 x\n` });
});
