import { describe, expect, test } from "vitest";
import { ClosureGraph } from "../../../../daemon/closures/closure-graph.ts";
import { compareClosures, splitName } from "../../../../daemon/closures/compare-closures.ts";
import { makeSha256 } from "../../../../derivations/hash.ts";
import type { PathInfo } from "../../../../derivations/path-info.ts";
import { parseStorePath, type StorePath } from "../../../../derivations/store-path.ts";

const digits = "0123456789abcdfghijklmnpqrsvwxyz";
const pathOf = (name: string): StorePath => parseStorePath(`${(digits[name.length % 32] ?? "0").repeat(32)}-${name}`);

function info(name: string, size: number, ...references: string[]): PathInfo {
  return {
    path: pathOf(name),
    narHash: makeSha256(new Uint8Array(32)),
    narSize: BigInt(size),
    references: new Set(references.map(pathOf)),
    registeredAtSeconds: 0,
    ultimate: false,
    signatures: [],
  } as unknown as PathInfo;
}

/** app → left → base, app → right → base; right → alone. */
const graph = new ClosureGraph(
  [pathOf("app")],
  [
    info("base", 100, "base"),
    info("alone", 30),
    info("left", 7, "base"),
    info("right", 5, "base", "alone"),
    info("app", 1, "left", "right"),
  ],
);

describe("sizes", () => {
  test.each([
    ["app", 143, 143],
    ["left", 107, 7],
    ["right", 135, 35],
    ["base", 100, 100],
    ["alone", 30, 30],
  ])("%s: closure %d, retained %d", (name, closure, retained) => {
    expect(graph.closureBytes(pathOf(name))).toBe(closure);
    expect(graph.retainedBytes(pathOf(name))).toBe(retained);
  });
});

test("the shortest chain", () => {
  expect(graph.shortestChain(pathOf("app"), pathOf("alone"))).toEqual(["app", "right", "alone"].map(pathOf));
  expect(graph.shortestChain(pathOf("left"), pathOf("alone"))).toBe(undefined);
  expect(graph.shortestChain(pathOf("app"), pathOf("app"))).toEqual([pathOf("app")]);
});

// nix-instantiate --eval -E 'builtins.parseDrvName "NAME"'
test.each([
  ["hello-2.12.1", "hello", "2.12.1"],
  ["gcc-wrapper-13.3.0-lib", "gcc-wrapper", "13.3.0-lib"],
  ["source", "source", ""],
  ["font-7x14-b", "font", "7x14-b"],
  ["a-_b", "a", "_b"],
  ["hello-", "hello-", ""],
])("%s is %s in version %s", (whole, name, version) => {
  expect(splitName(whole)).toEqual({ name, version });
});

test("closures are compared by package: what came, went, and changed", () => {
  const before = new ClosureGraph([pathOf("app-1.0")], [info("old-1", 50), info("same-3", 9), info("app-1.0", 10)]);
  const after = new ClosureGraph([pathOf("app-1.1x")], [info("same-3", 9), info("newer-1", 5), info("app-1.1x", 12)]);
  expect(compareClosures(before, after)).toMatchObject([
    { name: "old", change: "removed", bytesBefore: 50, bytesAfter: 0 },
    { name: "newer", change: "added", versionsAfter: ["1"], bytesAfter: 5 },
    {
      name: "app",
      change: "changed",
      versionsBefore: ["1.0"],
      versionsAfter: ["1.1x"],
      bytesBefore: 10,
      bytesAfter: 12,
    },
  ]);
});
