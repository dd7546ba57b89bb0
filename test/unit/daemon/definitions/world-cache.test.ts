import { readdirSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { HostTree } from "../../../../daemon/definitions/host-tree.ts";
import { assertUnchanged, findKnownWorld, keepWorld } from "../../../../daemon/definitions/world-cache.ts";
import { makeSha256 } from "../../../../derivations/hash.ts";
import { type Folder, makeFolder } from "./folder.ts";

const world = { narHash: makeSha256(new Uint8Array(32).fill(7)), narSize: 123, shell: "/usr/bin/bash" };

test("a world is found again while nothing changed, in whatever order its programs are named", () => {
  using folder = makeFolder(files);
  keep(folder);
  expect(findKnownWorld(folder.at("cache"), ["b", "a"])).toEqual(world);
  expect(findKnownWorld(folder.at("cache"), ["a", "b", "a"])).toEqual(world);
  expect(findKnownWorld(folder.at("cache"), ["a"])).toBeUndefined();
});

const changes: Readonly<Record<string, (folder: Folder) => void>> = {
  "a file has other contents": (folder) => writeFileSync(folder.at("tree/file"), "other contents"),
  "a file has other contents of the same length and time": (folder) => {
    writeFileSync(folder.at("tree/file"), "NTENTS");
    utimesSync(folder.at("tree/file"), 1, 1);
  },
  "a file was replaced": (folder) => {
    writeFileSync(folder.at("new"), "contents");
    renameSync(folder.at("new"), folder.at("tree/file"));
  },
  "a directory has a file more": (folder) => writeFileSync(folder.at("tree/more"), ""),
  "a directory has a file less": (folder) => rmSync(folder.at("tree/deep/inner")),
  "something that was looked for in vain came": (folder) => writeFileSync(folder.at("absent"), ""),
};

for (const [name, change] of Object.entries(changes))
  test(`a world is not found again if ${name}`, () => {
    using folder = makeFolder(files);
    keep(folder);
    change(folder);
    expect(findKnownWorld(folder.at("cache"), ["a", "b"])).toBeUndefined();
  });

test("files that change between selection and archive are named", () => {
  using folder = makeFolder(files);
  const tree = select(folder);
  assertUnchanged(tree);
  writeFileSync(folder.at("tree/file"), "other contents");
  expect(() => assertUnchanged(tree)).toThrow(
    expect.objectContaining({ code: "WORLD_CHANGED", details: { path: folder.at("tree/file") } }),
  );
});

test("a damaged cache, or one that cannot be written, counts as none", () => {
  using folder = makeFolder(files);
  keep(folder);
  const [name = ""] = readdirSync(folder.at("cache/worlds"));
  for (const damage of [
    "",
    "{",
    "null",
    '{"format":1}',
    '{"format":1,"narHash":"zz","paths":[],"stats":[],"absent":[]}',
  ]) {
    writeFileSync(folder.at(`cache/worlds/${name}`), damage);
    expect(findKnownWorld(folder.at("cache"), ["a", "b"])).toBeUndefined();
  }
  keepWorld(folder.at("tree/file"), ["a"], select(folder), world);
  expect(findKnownWorld(folder.at("tree/file"), ["a"])).toBeUndefined();
});

const files = { "tree/file": "contents", "tree/deep/inner": "x", "tree/link": "-> file" };

function select(folder: Folder): HostTree {
  const tree = new HostTree([]);
  tree.takeAll(folder.at("tree"), "test");
  tree.take(folder.at("absent"), "test");
  return tree;
}

function keep(folder: Folder): void {
  keepWorld(folder.at("cache"), ["a", "b"], select(folder), world);
}
