import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, lstatSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { expect, test } from "vitest";
import { readElf } from "../../../../daemon/definitions/elf.ts";
import { explainHostFiles, selectHostFiles } from "../../../../daemon/definitions/host-selection.ts";
import type { HostEntry, HostTree } from "../../../../daemon/definitions/host-tree.ts";
import { findShell } from "../../../../daemon/definitions/shell.ts";
import { archiveHostTree } from "../../../../daemon/definitions/world-archive.ts";
import { NarDecoder } from "../../../../derivations/nar/decoder.ts";
import { NarLister, type NarListing } from "../../../../derivations/nar/listing.ts";
import { makeFolder } from "./folder.ts";

const hasGcc = existsSync("/usr/bin/gcc") && existsSync("/usr/bin/bash");

test("a gcc world holds compiler, assembler, linker, start code and headers, and is of a sensible size", ({ skip }) => {
  skip(!hasGcc, "needs /usr/bin/gcc and bash");
  const tree = selectHostFiles(["gcc", "bash", "mkdir"]);
  const names = new Set([...tree.entries.values()].map(({ path }) => basename(path)));
  for (const name of [
    "gcc",
    "cc1",
    "collect2",
    "as",
    "ld",
    "crt1.o",
    "crti.o",
    "libgcc.a",
    "libc.so.6",
    "stdio.h",
    "stddef.h",
    "types.h",
    "bash",
    "sh",
    "mkdir",
  ])
    expect(names, name).toContain(name);
  for (const name of ["lto1", "cc1plus", "perl"]) expect(names, name).not.toContain(name);
  const bytes = explainHostFiles(tree).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  expect(bytes).toBeLessThan(250e6);
  expect(findShell((path) => tree.entries.has(path))).toMatch(/\/bash$/);
});

test("every library and loader that a file of a world needs is in it, and every link leads somewhere", ({ skip }) => {
  skip(!hasGcc, "needs /usr/bin/gcc and bash");
  const tree = selectHostFiles(["gcc", "base"]);
  const names = new Set([...tree.entries.values()].map(({ path }) => basename(path)));
  let checked = 0;
  for (const entry of tree.entries.values()) {
    if (entry.kind === "symlink") expect(findReal(tree, entry.path), entry.path).toBeDefined();
    if (entry.kind !== "file" || !(entry.executable || /\.so(\.|$)/.test(entry.path))) continue;
    const facts = readElf(entry.path);
    if (facts === undefined) continue;
    checked += 1;
    for (const library of facts.needed) expect(names, `${library} of ${entry.path}`).toContain(basename(library));
    if (facts.interpreter !== undefined) expect(findReal(tree, facts.interpreter), entry.path).toBeDefined();
  }
  expect(checked).toBeGreaterThan(20);
});

test("the host's own layout at the top is kept, and etc has the placeholders that a jail fills in", () => {
  const tree = selectHostFiles(["sh"]);
  for (const name of ["/bin", "/lib", "/lib64", "/sbin"])
    if (existsSync(name)) expect(tree.entries.get(name)?.kind, name).toBe(kindOnHost(name));
  for (const name of ["passwd", "group", "hosts"]) expect(tree.entries.get(`/etc/${name}`)?.kind).toBe("empty-file");
});

test("a script brings its interpreter", ({ skip }) => {
  const script = ["/usr/bin/egrep", "/usr/bin/ldd", "/usr/bin/zcat"].find(
    (path) => existsSync(path) && readFileSync(path, "latin1").startsWith("#!/bin/sh"),
  );
  skip(script === undefined, "needs a shell script in /usr/bin");
  const tree = selectHostFiles([basename(script ?? "")]);
  expect(findReal(tree, "/bin/sh")).toBeDefined();
});

test("the same programs give the same archive to the byte, in whatever order they are named", async () => {
  const digests = await Promise.all(
    [
      ["sh", "cat"],
      ["cat", "sh", "cat"],
    ].map((programs) => digestOf(selectHostFiles(programs))),
  );
  expect(new Set(digests).size).toBe(1);
});

/** Goal: what is streamed is a sound archive of the very files. Method: our decoder, and the host's own bytes. */
test("the archive of a world holds the host's files", async () => {
  const tree = selectHostFiles(["cat"]);
  const decoder = new NarDecoder();
  const lister = new NarLister();
  const contents: Uint8Array[] = [];
  let isFile = false;
  for await (const piece of archiveHostTree(tree))
    for (const event of decoder.push(piece)) {
      lister.push(event);
      if (event.kind === "file") isFile = true;
      if (event.kind === "contents" && isFile) contents.push(Uint8Array.from(event.bytes));
    }
  decoder.end();
  const listing = lister.finish();
  const files = [...explainHostFiles(tree)].filter(({ kind }) => kind === "file");
  for (const { path, sizeBytes } of files)
    expect(findInside(listing, path), path).toMatchObject({ type: "regular", size: sizeBytes });
  const expected = createHash("sha256");
  for (const { path } of files.sort((left, right) => compareParts(left.path, right.path)))
    expected.update(readFileSync(path));
  expect(createHash("sha256").update(Buffer.concat(contents)).digest("hex")).toBe(expected.digest("hex"));
});

test("a star in a path stands for any characters, so that a definition fits machines of several kinds", ({ skip }) => {
  skip(!hasGcc, "needs /usr/bin/gcc and bash");
  const directories = [...selectHostFiles(["/usr/lib*/*/crt1.o", "/usr/include/std*.h"]).entries.keys()];
  const named = (name: string) => directories.filter((path) => basename(path) === name);
  expect(named("crt1.o").length).toBeGreaterThan(0);
  expect(named("stdio.h")).toEqual(["/usr/include/stdio.h"]);
  expect(named("stdlib.h")).toEqual(["/usr/include/stdlib.h"]);
  expect(named("string.h")).toEqual([]);
  expect(() => selectHostFiles(["/usr/include/no-such-*.h"])).toThrow(
    expect.objectContaining({
      code: "WORLD_PATH_MISSING",
      details: expect.objectContaining({ path: "/usr/include/no-such-*.h" }),
    }),
  );
});

test("what a makefile runs beside the compiler comes with it: cc, ar, ranlib, strip", ({ skip }) => {
  skip(!hasGcc, "needs /usr/bin/gcc and bash");
  const tree = selectHostFiles(["gcc"]);
  for (const name of ["cc", "cpp", "ar", "ranlib", "nm", "strip"])
    expect(findReal(tree, `/usr/bin/${name}`), name).toBeDefined();
});

test("a program that the host has not is named, and so is a path", () => {
  expect(() => selectHostFiles(["no-such-program-here"])).toThrow(
    expect.objectContaining({
      code: "WORLD_PROGRAM_MISSING",
      details: expect.objectContaining({ program: "no-such-program-here" }),
    }),
  );
  expect(() => selectHostFiles(["/usr/no-such-file"])).toThrow(expect.objectContaining({ code: "WORLD_PATH_MISSING" }));
  expect(() => selectHostFiles(["/proc/self/exe"])).toThrow(expect.objectContaining({ code: "WORLD_PATH_UNUSABLE" }));
});

/** Goal: the slice really works. Method: a copy of it as the root of a chroot, where nothing else is. */
test("gcc compiles and its program runs with nothing but the world", ({ skip }) => {
  skip(!hasGcc, "needs /usr/bin/gcc and bash");
  skip(process.getuid?.() !== 0 || !existsSync("/usr/sbin/chroot"), "needs root and chroot");
  using root = copyWorld(selectHostFiles(["gcc", "bash", "mkdir"]));
  const script =
    'mkdir -p /w && cd /w && echo "#include <stdio.h>\nint main(void){puts(\\"made\\");}" >a.c && gcc -O2 -o a a.c && ./a';
  const ran = spawnSync("/usr/sbin/chroot", [root.path, "/usr/bin/bash", "-ec", script], {
    env: { PATH: "/usr/bin:/bin" },
    encoding: "utf8",
  });
  expect({ status: ran.status, stdout: ran.stdout, stderr: ran.stderr }).toEqual({
    status: 0,
    stdout: "made\n",
    stderr: "",
  });
});

function copyWorld(tree: HostTree) {
  const root = makeFolder();
  for (const entry of tree.entries.values()) {
    const place = join(root.path, entry.path);
    mkdirSync(dirname(place), { recursive: true });
    if (entry.kind === "directory") mkdirSync(place, { recursive: true });
    else if (entry.kind === "symlink") symlinkSync(entry.target, place);
    else if (entry.kind === "file") copyFileSync(entry.path, place);
    else writeFileSync(place, "");
  }
  return root;
}

/** Follows links inside the tree alone. */
function findReal(tree: HostTree, path: string, depth = 0): HostEntry | undefined {
  if (depth > 40) return undefined;
  let current = "";
  const parts = path.split("/").filter((part) => part !== "");
  for (const [index, part] of parts.entries()) {
    current = join(current === "" ? "/" : current, part);
    const entry = tree.entries.get(current);
    if (entry === undefined) return undefined;
    if (entry.kind === "symlink")
      return findReal(tree, resolve(dirname(current), entry.target, ...parts.slice(index + 1)), depth + 1);
  }
  return tree.entries.get(current);
}

function kindOnHost(path: string): string {
  return lstatSync(path).isSymbolicLink() ? "symlink" : "directory";
}

async function digestOf(tree: HostTree): Promise<string> {
  const digest = createHash("sha256");
  for await (const piece of archiveHostTree(tree)) digest.update(piece);
  return digest.digest("hex");
}

function findInside(listing: NarListing, path: string): NarListing | undefined {
  let node: NarListing | undefined = listing;
  for (const part of path.slice(1).split("/")) node = node?.type === "directory" ? node.entries[part] : undefined;
  return node;
}

/** The order of an archive: names level by level. */
function compareParts(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left.replaceAll("/", "\0")), Buffer.from(right.replaceAll("/", "\0")));
}
