import { Buffer } from "node:buffer";
import { describe, expect, test } from "vitest";
import { bytes } from "../../../../derivations/bytes.ts";
import { makeSourcePath } from "../../../../derivations/content-address.ts";
import { printDigest, sha256 } from "../../../../derivations/hash.ts";
import { encodeNar, NarEncoder } from "../../../../derivations/nar/encoder.ts";
import type { NarEvent } from "../../../../derivations/nar/grammar.ts";
import { parseStoreDirectory } from "../../../../derivations/store-path.ts";
import { eventsOf, type Tree } from "../arbitraries.ts";
import { golden } from "../golden.ts";
import { refusalOf } from "../refusal.ts";

interface GoldenNars {
  readonly nars: readonly {
    readonly name: string;
    readonly base64: string;
    readonly sha256: string;
    readonly sourcePath: string;
  }[];
}

const file = (contents: string, executable = false): Tree => ({ kind: "file", executable, contents: bytes(contents) });
const link = (target: string): Tree => ({ kind: "symlink", target: bytes(target) });
const directory = (entries: Record<string, Tree>): Tree => ({
  kind: "directory",
  entries: Object.entries(entries).map(([name, node]) => [bytes(name), node] as const),
});

/** In an archive's order; the tool was given the same (test/golden/derivations/nars.json). */
const trees: Readonly<Record<string, Tree>> = {
  file: file("hello\n"),
  empty: file(""),
  eight: file("12345678"),
  program: file("#!/bin/sh\n", true),
  link: link("../é target"),
  emptydir: directory({}),
  tree: {
    kind: "directory",
    entries: (
      [
        ["10", file("1")],
        ["9", file("1")],
        ["B", file("yy")],
        ["__proto__", file("p")],
        ["a", file("x")],
        ["a.b", file("", true)],
        ["sub", directory({ inner: directory({ l: link("a") }), é: file("zzzzzzzzz") })],
      ] as const
    ).map(([name, node]) => [bytes(name), node] as const),
  },
};

const encode = (events: readonly NarEvent[]) => Buffer.concat([...encodeNar(events)]);
const entry = (name: string): NarEvent => ({ kind: "entry", name: bytes(name) });
const empty: NarEvent = { kind: "file", executable: false, size: 0n };
const codeOf = (...events: readonly NarEvent[]) => refusalOf(() => encode(events)).code;

describe("the NAR encoder", () => {
  test.each(golden<GoldenNars>("nars.json").nars)(
    "writes $name as nix-store --dump does",
    ({ name, base64, sha256: digest, sourcePath }) => {
      const nar = encode([...eventsOf(trees[name] ?? file("?"))]);
      expect(nar.toString("base64")).toBe(base64);
      expect(printDigest(sha256(nar), "base32")).toBe(digest);
      expect(makeSourcePath(parseStoreDirectory("/nix/store"), name, sha256(nar))).toBe(sourcePath);
    },
  );

  test("takes contents in pieces and passes them on without a copy", () => {
    const encoder = new NarEncoder();
    encoder.push({ kind: "file", executable: false, size: 5n });
    const piece = bytes("abc");
    expect(encoder.push({ kind: "contents", bytes: piece })[0]).toBe(piece);
    encoder.push({ kind: "contents", bytes: bytes("de") });
    expect(() => encoder.end()).not.toThrow();
  });

  test.each(["", ".", "..", "a/b", "a\0", "x".repeat(256)])("refuses the name %j", (name) => {
    expect(codeOf({ kind: "directory" }, entry(name))).toBe("NAR_NAME_INVALID");
  });

  test.each(["", "a\0", "x".repeat(4096)])("refuses the link target %j", (target) => {
    expect(codeOf({ kind: "symlink", target: bytes(target) })).toBe("NAR_TARGET_INVALID");
  });

  test("refuses names that are not in order, and more than 64 levels", () => {
    expect(codeOf({ kind: "directory" }, entry("a"), empty, entry("a"))).toBe("NAR_NAME_ORDER");
    expect(codeOf({ kind: "directory" }, entry("b"), empty, entry("a"))).toBe("NAR_NAME_ORDER");
    const deep = Array.from({ length: 64 }, (): NarEvent[] => [{ kind: "directory" }, entry("a")]).flat();
    expect(codeOf(...deep, empty)).toBe("NAR_TOO_DEEP");
    expect(codeOf(...deep.slice(2), empty)).toBe("NAR_EVENT_UNEXPECTED"); // deep enough to go on, but not ended
  });

  test.each([-1n, 2n ** 63n, 2n ** 64n])("refuses a file of %d bytes", (size) => {
    expect(codeOf({ kind: "file", executable: false, size })).toBe("NAR_LENGTH_TOO_BIG");
  });

  test.each<[string, readonly NarEvent[]]>([
    ["nothing", []],
    ["an end first", [{ kind: "end" }]],
    ["two nodes", [empty, empty]],
    ["a node in a directory without an entry", [{ kind: "directory" }, empty]],
    ["an entry without a node", [{ kind: "directory" }, entry("a"), { kind: "end" }]],
    ["a directory that does not end", [{ kind: "directory" }]],
    [
      "fewer contents than said",
      [
        { kind: "file", executable: false, size: 2n },
        { kind: "contents", bytes: bytes("a") },
      ],
    ],
    [
      "more contents than said",
      [
        { kind: "file", executable: false, size: 2n },
        { kind: "contents", bytes: bytes("abc") },
      ],
    ],
    ["contents of an empty file", [empty, { kind: "contents", bytes: bytes("a") }]],
  ])("refuses %s", (_, events) => {
    expect(codeOf(...events)).toBe("NAR_EVENT_UNEXPECTED");
  });
});
