import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { dumpFiltered, findPatternFault, makeFilter } from "../../../../daemon/definitions/source-filter.ts";
import { NarDecoder } from "../../../../derivations/nar/decoder.ts";
import { NarLister, type NarListing } from "../../../../derivations/nar/listing.ts";
import { dumpTree } from "../../../../sandbox-native/read-tree.ts";
import { collect } from "../../../support/collect.ts";
import { makeFolder } from "./folder.ts";

const files = {
  "main.c": "int main(void) { return 0; }",
  "main.o": "object",
  "run.sh": "#!/bin/sh\n",
  link: "-> main.c",
  "node_modules/a/index.js": "a",
  "lib/node_modules/b/index.js": "b",
  "lib/util.c": "util",
  "lib/util.o": "object",
  "docs/index.html": "page",
  "docs/deep/er/page.html": "page",
  "docs/deep/er/page.md": "text",
};

describe("a pattern", () => {
  test.each([
    ["node_modules", ["node_modules", "lib/node_modules"], ["node_modules2", "my-node_modules"]],
    ["*.o", ["main.o", "lib/util.o"], ["main.obj", "o", "main.o/x"]],
    ["/main.o", ["main.o"], ["lib/main.o"]],
    ["lib/*.o", ["lib/util.o"], ["main.o", "lib/deep/util.o", "other/lib/util.o"]],
    ["docs/**", ["docs/index.html", "docs/deep/er"], ["docs", "old/docs/index.html"]],
    ["docs/**/*.html", ["docs/index.html", "docs/deep/er/page.html"], ["docs/deep/er/page.md", "index.html"]],
    ["**/er", ["docs/deep/er", "er"], ["docs/deeper"]],
    ["build/", ["build", "lib/build"], ["building"]],
    ["page.?d", ["page.md", "docs/page.nd"], ["page.d", "page.m/d", "pagexmd"]],
    ["a+(b)[c].{d}$", ["a+(b)[c].{d}$"], ["aab", "a+bc.d"]],
  ])("%s", (pattern, fits, others) => {
    const isExcluded = makeFilter([pattern]);
    expect(fits.filter((path) => !isExcluded(path))).toEqual([]);
    expect(others.filter(isExcluded)).toEqual([]);
  });

  test.each([["node_modules"], [[1]], [[""]], [["/"]], [["../x"]], [["a/../b"]], [["./a"]], [undefined]])(
    "that can fit nothing is refused: %j",
    (patterns) => {
      expect(findPatternFault(patterns)).toMatch(/^(must be|holds)/);
    },
  );
});

test("what a pattern leaves out is left out whole, and all else is as it would be without", async () => {
  using folder = makeFolder(files);
  const filtered = await listOf(dumpFiltered(folder.path, ["node_modules", "*.o", "docs/**/*.html"]));
  expect(filtered).toEqual(["docs/deep/er/page.md", "lib/util.c", "link", "main.c", "run.sh"]);
});

/** Goal: a filter changes nothing but what it leaves out. Method: the native archive of a copy without it, to the byte. */
test("the archive is the one of a copy without these files, and of the whole where nothing fits", async () => {
  using folder = makeFolder(files);
  using copy = makeFolder(files);
  execFileSync("rm", ["-r", copy.at("lib/node_modules"), copy.at("node_modules"), copy.at("main.o")]);
  const of = async (archive: AsyncIterable<Uint8Array>) => Buffer.concat(await collect(archive));
  expect(await of(dumpFiltered(folder.path, ["node_modules", "/main.o"]))).toEqual(await of(dumpTree(copy.path)));
  expect(await of(dumpFiltered(folder.path, ["nothing-of-this-name"]))).toEqual(await of(dumpTree(folder.path)));
  expect(await of(dumpFiltered(folder.at("run.sh"), ["x"]))).toEqual(await of(dumpTree(folder.at("run.sh"))));
});

test("what is left out may be anything, and what is not is read as strictly as ever", async () => {
  using folder = makeFolder({ kept: "1" });
  execFileSync("mkfifo", [folder.at("pipe")]);
  expect(await listOf(dumpFiltered(folder.path, ["pipe"]))).toEqual(["kept"]);
  await expect(collect(dumpFiltered(folder.path, ["other"]))).rejects.toMatchObject({
    code: "SOURCE_UNREADABLE",
    details: { reason: expect.stringContaining("pipe") },
  });
});

async function listOf(archive: AsyncIterable<Uint8Array>): Promise<string[]> {
  const decoder = new NarDecoder();
  const lister = new NarLister();
  for await (const piece of archive) for (const event of decoder.push(piece)) lister.push(event);
  decoder.end();
  const names: string[] = [];
  const walk = (listing: NarListing, path: string): void => {
    if (listing.type !== "directory") names.push(path);
    else
      for (const [name, inner] of Object.entries(listing.entries)) walk(inner, path === "" ? name : `${path}/${name}`);
  };
  walk(lister.finish(), "");
  return names.sort();
}
