import { expect, test } from "vitest";
import { HostTree } from "../../../../daemon/definitions/host-tree.ts";
import { makeFolder } from "./folder.ts";

test("taking a path takes each link on the way and what it points to", () => {
  using folder = makeFolder({
    "usr/bin/tool-12": "x",
    "usr/bin/tool": "-> tool-12",
    "etc/alternatives/cc": `-> ../../usr/bin/tool`,
    "usr/bin/cc": "-> ../../etc/alternatives/cc",
    bin: "-> usr/bin",
  });
  const tree = new HostTree([]);
  const taken = tree.take(folder.at("bin/cc"), "test");
  expect(taken).toEqual({ realPath: folder.at("usr/bin/tool-12"), names: ["cc", "cc", "tool", "tool-12"] });
  expect(kindsBelow(tree, folder.path)).toEqual({
    bin: "symlink",
    "etc/alternatives/cc": "symlink",
    etc: "directory",
    "etc/alternatives": "directory",
    usr: "directory",
    "usr/bin": "directory",
    "usr/bin/cc": "symlink",
    "usr/bin/tool": "symlink",
    "usr/bin/tool-12": "file",
  });
});

test("a directory taken whole has all below it but the names left out, and what its links point to", () => {
  using folder = makeFolder({
    "tree/a": "1",
    "tree/deep/b": "22",
    "tree/cache/c": "333",
    "tree/out": "-> ../elsewhere/d",
    "elsewhere/d": "4444",
    "elsewhere/e": "not linked",
    "tree/broken": "-> nothing",
  });
  const tree = new HostTree([]);
  expect(tree.takeAll(folder.at("tree"), "test", ["cache"])).toBe(true);
  expect(Object.keys(kindsBelow(tree, folder.path)).sort()).toEqual(
    ["elsewhere", "elsewhere/d", "tree", "tree/a", "tree/broken", "tree/deep", "tree/deep/b", "tree/out"].sort(),
  );
});

test("what is not there is undefined, and remembered as looked for", () => {
  using folder = makeFolder({ file: "x" });
  const tree = new HostTree([]);
  expect(tree.take(folder.at("nothing"), "test")).toBeUndefined();
  expect(tree.take(folder.at("file/below"), "test")).toBeUndefined();
  expect(tree.takeAll(folder.at("nothing"), "test")).toBe(false);
  expect(tree.absent).toContain(folder.at("nothing"));
});

test("links in a circle and paths that a jail has of its own are refused", () => {
  using folder = makeFolder({ one: "-> two", two: "-> one" });
  expect(() => new HostTree([]).take(folder.at("one"), "test")).toThrow(
    expect.objectContaining({ code: "WORLD_PATH_UNUSABLE" }),
  );
  expect(() => new HostTree(["proc"]).take("/proc/version", "test")).toThrow(
    expect.objectContaining({
      code: "WORLD_PATH_UNUSABLE",
      details: expect.objectContaining({ path: "/proc/version" }),
    }),
  );
});

function kindsBelow(tree: HostTree, folder: string): Record<string, string> {
  const inside = [...tree.entries.values()].filter(({ path }) => path.startsWith(`${folder}/`));
  return Object.fromEntries(inside.map(({ path, kind }) => [path.slice(folder.length + 1), kind]));
}
