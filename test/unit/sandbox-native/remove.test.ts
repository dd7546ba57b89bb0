import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { compileNativePrograms, runTreeTool } from "../../support/native-programs.ts";
import { tree } from "../derivations/arbitraries.ts";
import { makeTemporaryFolder, writeTree } from "./disk-trees.ts";

beforeAll(() => compileNativePrograms("plain"), 300_000);

const remove = (folder: string, name: string) => runTreeTool("plain", ["remove", folder, name])[0];

describe("removing a tree", () => {
  test("removes any tree, and nothing beside it", () => {
    fc.assert(
      fc.property(tree, (root) => {
        using folder = makeTemporaryFolder();
        writeTree(Buffer.from(folder.join("tree")), root);
        writeFileSync(folder.join("beside"), "");
        expect(remove(folder.path, "tree")).toMatchObject({ existed: true });
        expect(readdirSync(folder.path)).toEqual(["beside"]);
      }),
      { numRuns: 30 },
    );
  });

  test("removes directories that forbid everything", () => {
    using folder = makeTemporaryFolder();
    mkdirSync(folder.join("tree", "a", "b"), { recursive: true });
    writeFileSync(folder.join("tree", "a", "b", "file"), "");
    for (const path of ["a/b/file", "a/b", "a", "."]) chmodSync(folder.join("tree", path), 0);
    expect(remove(folder.path, "tree")).toMatchObject({ existed: true });
    expect(existsSync(folder.join("tree"))).toBe(false);
  });

  test("follows no symbolic link, neither as the top nor below it", () => {
    using folder = makeTemporaryFolder();
    mkdirSync(folder.join("victim"), { mode: 0o500 });
    mkdirSync(folder.join("tree"));
    for (const name of ["tree/link", "top"]) symlinkSync(folder.join("victim"), folder.join(name));
    chmodSync(folder.join("victim"), 0o700);
    writeFileSync(folder.join("victim", "file"), "kept");
    chmodSync(folder.join("victim"), 0o500);
    for (const name of ["tree", "top"]) expect(remove(folder.path, name)).toMatchObject({ existed: true });
    expect(readFileSync(folder.join("victim", "file"), "utf8")).toBe("kept");
    expect(statSync(folder.join("victim")).mode & 0o777).toBe(0o500);
    expect(readdirSync(folder.path)).toEqual(["victim"]);
  });

  test("counts a file's bytes as free when its last link goes", () => {
    using folder = makeTemporaryFolder();
    for (const name of ["one", "two"]) mkdirSync(folder.join(name));
    writeFileSync(folder.join("one", "big"), Buffer.alloc(1_000_000, "x"));
    linkSync(folder.join("one", "big"), folder.join("two", "big"));
    expect(Number(remove(folder.path, "one")?.["freedBytes"])).toBeLessThan(500_000);
    expect(Number(remove(folder.path, "two")?.["freedBytes"])).toBeGreaterThanOrEqual(1_000_000);
  });

  test("says when there was nothing", () => {
    using folder = makeTemporaryFolder();
    expect(remove(folder.path, "nothing")).toEqual({ existed: false, freedBytes: "0" });
  });

  test("removes a directory of many entries", () => {
    using folder = makeTemporaryFolder();
    mkdirSync(folder.join("tree"));
    for (let index = 0; index < 5000; ++index) writeFileSync(folder.join("tree", `file ${index}`), "");
    expect(remove(folder.path, "tree")).toMatchObject({ existed: true });
    expect(readdirSync(folder.path)).toEqual([]);
  });
});

describe("moving an entry", () => {
  const move = (folder: string, from: string, to: string, trash: string) =>
    runTreeTool("plain", [
      "move",
      `${folder}/staging`,
      from,
      `${folder}/store`,
      to,
      trash === "-" ? "-" : `${folder}/${trash}`,
    ])[0];

  function makeFolders() {
    const folder = makeTemporaryFolder();
    for (const name of ["staging", "store", "trash"]) mkdirSync(folder.join(name));
    return folder;
  }

  test("moves sealed directories, files and links, with their modes and times", () => {
    using folder = makeFolders();
    mkdirSync(folder.join("staging", "directory"));
    writeFileSync(folder.join("staging", "directory", "file"), "");
    writeFileSync(folder.join("staging", "file"), "");
    symlinkSync("nowhere", folder.join("staging", "link"));
    chmodSync(folder.join("staging", "directory"), 0o555);
    for (const name of ["directory", "file", "link"])
      expect(move(folder.path, name, `new-${name}`, "trash")).toEqual({ trashed: "" });
    expect(readdirSync(folder.join("staging"))).toEqual([]);
    expect(readdirSync(folder.join("store"))).toEqual(["new-directory", "new-file", "new-link"]);
    expect(statSync(folder.join("store", "new-directory")).mode & 0o7777).toBe(0o555);
  });

  test("moves what lay there into the trash first, whatever it is", () => {
    using folder = makeFolders();
    mkdirSync(folder.join("store", "name"));
    writeFileSync(folder.join("store", "name", "old"), "");
    chmodSync(folder.join("store", "name"), 0o555);
    for (const contents of ["first", "second"]) {
      writeFileSync(folder.join("staging", "new"), contents);
      const moved = move(folder.path, "new", "name", "trash");
      expect(readFileSync(folder.join("store", "name"), "utf8")).toBe(contents);
      expect(readdirSync(folder.join("trash"))).toContain(moved?.["trashed"]);
    }
    expect(readdirSync(folder.join("trash"))).toHaveLength(2);
  });

  test("replaces nothing where there is no trash, and says when there is nothing to move", () => {
    using folder = makeFolders();
    for (const place of ["staging", "store"]) writeFileSync(folder.join(place, "name"), place);
    expect(move(folder.path, "name", "name", "-")).toMatchObject({ code: "TREE_SYSTEM_CALL", errno: 17 });
    expect(readFileSync(folder.join("store", "name"), "utf8")).toBe("store");
    expect(move(folder.path, "nothing", "name", "trash")).toMatchObject({ code: "TREE_SYSTEM_CALL", errno: 2 });
    expect(readFileSync(folder.join("store", "name"), "utf8")).toBe("store");
  });
});
