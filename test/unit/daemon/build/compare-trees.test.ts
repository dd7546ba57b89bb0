import { describe, expect, test } from "vitest";
import { compareTrees } from "../../../../daemon/build/compare-trees.ts";
import { bytes } from "../../../../derivations/bytes.ts";
import { encodeNar } from "../../../../derivations/nar/encoder.ts";
import type { NarEvent } from "../../../../derivations/nar/grammar.ts";

type Tree = string | { readonly link: string } | { readonly run: string } | { readonly [name: string]: Tree };

function* events(tree: Tree): Generator<NarEvent> {
  if (typeof tree === "string" || "run" in tree) {
    const contents = bytes(typeof tree === "string" ? tree : (tree.run as string));
    yield { kind: "file", executable: typeof tree !== "string", size: BigInt(contents.length) };
    if (contents.length > 0) yield { kind: "contents", bytes: contents };
  } else if ("link" in tree) {
    yield { kind: "symlink", target: bytes(tree.link as string) };
  } else {
    yield { kind: "directory" };
    for (const name of Object.keys(tree).sort()) {
      yield { kind: "entry", name: bytes(name) };
      yield* events((tree as Record<string, Tree>)[name] ?? "");
    }
    yield { kind: "end" };
  }
}

async function* archive(tree: Tree) {
  for (const chunk of encodeNar(events(tree))) yield chunk;
}

const compare = (first: Tree, second: Tree, limit = 100) => compareTrees(archive(first), archive(second), { limit });

describe("compareTrees", () => {
  test("equal trees have no differences", async () => {
    const tree: Tree = { bin: { hello: { run: "1" } }, empty: "", to: { link: "bin" } };
    expect(await compare(tree, tree)).toEqual([]);
  });

  test("each kind of difference is named", async () => {
    const first: Tree = { a: "1", b: "same", c: { link: "x" }, d: "1", e: "1", gone: { deep: { file: "1" } } };
    const second: Tree = { a: "2", b: "same", c: { link: "y" }, d: { run: "1" }, e: {}, more: "1" };
    expect(await compare(first, second)).toEqual([
      "a: other contents",
      'c: other target, "x" and "y"',
      "d: a file in the first, an executable file in the second",
      "e: a file in the first, a directory in the second",
      "gone: only in the first",
      "more: only in the second",
    ]);
  });

  test("a file that is the whole output is the dot", async () => {
    expect(await compare("1", "2")).toEqual([".: other contents"]);
  });

  test("past the limit one line says how many more there are", async () => {
    expect(await compare({ a: "1", b: "1", c: "1" }, { a: "2", b: "2", c: "2" }, 2)).toEqual([
      "a: other contents",
      "b: other contents",
      "and 1 more",
    ]);
    expect(await compare({ a: "1", b: "1" }, { a: "2", b: "2" }, 2)).toHaveLength(2);
  });
});
