import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { CloisterError } from "../../../derivations/error.ts";
import { launcherExecutable, loadBinding } from "../../../sandbox-native/binding.ts";
import { errorOf } from "../../../sandbox-native/errors.ts";
import { makeTemporaryFolder } from "./disk-trees.ts";

test("the addon and the launcher are found from the sources", () => {
  expect(loadBinding()).toBe(loadBinding());
  expect(launcherExecutable()).toMatch(/sandbox-native\/build\/Release\/cloister-launcher$/);
});

/** In a package of the same shape, as a source and in `dist`, where nothing was compiled. */
test.each([".", "dist"])("what is not compiled is NATIVE_NOT_COMPILED, with the file that lacks (%s)", (place) => {
  using folder = makeTemporaryFolder();
  writeFileSync(folder.join("package.json"), JSON.stringify({ name: "cloister", type: "module" }));
  for (const name of ["sandbox-native", "derivations"]) mkdirSync(folder.join(place, name), { recursive: true });
  for (const name of ["sandbox-native/binding.ts", "sandbox-native/errors.ts", "derivations/error.ts"])
    cpSync(new URL(`../../../${name}`, import.meta.url), folder.join(place, name));
  const code = `const { loadBinding } = await import(${JSON.stringify(folder.join(place, "sandbox-native/binding.ts"))});
    try { loadBinding(); } catch (error) { console.log(JSON.stringify(error.toData())); }`;
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", code], { encoding: "utf8" });
  expect(JSON.parse(stdout || stderr)).toMatchObject({
    code: "NATIVE_NOT_COMPILED",
    details: { file: folder.join("sandbox-native/build/Release/cloister.node") },
  });
});

test("a failure of the native part becomes an error of its code, with the system's name for the errno", () => {
  const failure = { step: "write", errno: 28, path: Buffer.from("a/b"), offset: 0n };
  const expected = { step: "write", errno: 28, errnoName: "ENOSPC", path: "a/b" };
  for (const code of ["TREE_SYSTEM_CALL", "TREE_CANCELLED"]) {
    const error = errorOf({ ...failure, code });
    expect(error).toBeInstanceOf(CloisterError);
    expect(error).toMatchObject({ code, details: expected });
  }
  const other = new Error("not from there");
  expect(errorOf(other)).toBe(other);
});
