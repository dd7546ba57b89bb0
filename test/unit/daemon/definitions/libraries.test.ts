import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { HostTree } from "../../../../daemon/definitions/host-tree.ts";
import { LibraryFinder } from "../../../../daemon/definitions/libraries.ts";
import { makeFolder } from "./folder.ts";

const cat = "/usr/bin/cat";

test("a library that the host has not is named, with who needs it", ({ skip }) => {
  skip(!existsSync(cat), "needs /usr/bin/cat");
  using folder = makeFolder();
  const bytes = readFileSync(cat);
  const at = bytes.indexOf("libc.so.6\0");
  skip(at < 0, "needs a dynamic /usr/bin/cat of glibc");
  bytes.write("libq", at);
  writeFileSync(folder.at("cat"), bytes);
  expect(() => new LibraryFinder(new HostTree([])).takeFor(folder.at("cat"))).toThrow(
    expect.objectContaining({
      code: "WORLD_LIBRARY_MISSING",
      details: { library: "libq.so.6", neededBy: folder.at("cat") },
    }),
  );
});

test("a file that is no ELF file needs nothing", () => {
  using folder = makeFolder({ text: "#!/bin/sh\n" });
  const tree = new HostTree([]);
  expect(new LibraryFinder(tree).takeFor(folder.at("text"))).toBe(false);
  expect(tree.entries.size).toBe(0);
});

test("loader and libraries of a program are taken, with the links that lead to them", ({ skip }) => {
  skip(!existsSync(cat), "needs /usr/bin/cat");
  const tree = new HostTree([]);
  expect(new LibraryFinder(tree).takeFor(cat)).toBe(true);
  const paths = [...tree.entries.keys()];
  expect(paths.some((path) => /\/libc\.so\.6$|\/ld-musl/.test(path))).toBe(true);
  expect(paths.some((path) => /\/ld-[^/]*\.so/.test(path))).toBe(true);
});
