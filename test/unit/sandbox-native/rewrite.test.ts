import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { encodeNar } from "../../../derivations/nar/encoder.ts";
import { compileNativePrograms, runTreeTool, textOfHex } from "../../support/native-programs.ts";
import { eventsOf, type Tree } from "../derivations/arbitraries.ts";
import { listEntries, makeTemporaryFolder, writeTree } from "./disk-trees.ts";

const digits = [..."0123456789abcdfghijklmnpqrsvwxyz"];
const hashPart = fc.array(fc.constantFrom(...digits), { minLength: 32, maxLength: 32 }).map((parts) => parts.join(""));
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

beforeAll(() => compileNativePrograms("plain"), 300_000);

/** Trees full of some hash parts: whole, cut short, and side by side. */
function treeWith(parts: readonly string[]): fc.Arbitrary<Tree> {
  const word = fc.oneof(
    fc.constantFrom(...parts),
    fc.constantFrom(...parts).map((part) => part.slice(1)),
    fc.constantFrom("-name", "/", " ", "x", "é"),
  );
  const text = fc.array(word, { minLength: 1, maxLength: 6 }).map((words) => Buffer.from(words.join("")));
  const name = text.map((bytes) => Uint8Array.from(bytes.subarray(0, 255), (byte) => (byte === 0x2f ? 0x5f : byte)));
  return fc.letrec<{ node: Tree; directory: Tree }>((tie) => ({
    node: fc.oneof(
      { maxDepth: 3 },
      fc.record({ kind: fc.constant("file" as const), executable: fc.boolean(), contents: text }),
      fc.record({ kind: fc.constant("symlink" as const), target: text }),
      tie("directory"),
    ),
    directory: fc.record({
      kind: fc.constant("directory" as const),
      entries: fc.uniqueArray(fc.tuple(name, tie("node")), {
        maxLength: 4,
        selector: ([bytes]) => Buffer.from(bytes).toString("hex"),
      }),
    }),
  })).node as fc.Arbitrary<Tree>;
}

describe("rewriting a tree", () => {
  test("replaces hash parts in contents, names and targets, and nothing else", () => {
    fc.assert(
      fc.property(
        fc
          .uniqueArray(hashPart, { minLength: 4, maxLength: 4 })
          .chain((parts) => fc.tuple(fc.constant(parts), treeWith(parts))),
        ([parts, root]) => {
          using folder = makeTemporaryFolder();
          const [from, to, otherFrom, otherTo] = parts as [string, string, string, string];
          writeTree(Buffer.from(folder.join("old")), sorted(root));
          const before = runTreeTool("plain", ["hash", folder.path, "old"]);
          const pairs = `${from}=${to},${otherFrom}=${otherTo}`;
          const [result] = runTreeTool("plain", ["rewrite", folder.path, "old", "new", to, pairs, ...parts]);
          const replaced = replaceIn(root, (text) =>
            text.replace(new RegExp(`${from}|${otherFrom}`, "g"), (found) => (found === from ? to : otherTo)),
          );
          if (replaced === undefined) {
            expect(result?.["code"]).toBe("OUTPUT_REWRITE_COLLISION");
            expect(readdirSync(folder.path)).toEqual(["old"]);
          } else {
            const bytes = Buffer.concat([...encodeNar(eventsOf(sorted(replaced)))]);
            const found = parts.filter((part) => bytes.includes(part));
            expect(result).toMatchObject({ narHash: sha256(bytes), narSize: String(bytes.length), references: found });
            for (const [path, status] of listEntries(folder.join("new")))
              expect([path, status.mtimeMs]).toEqual([path, 1000]);
          }
          expect(runTreeTool("plain", ["hash", folder.path, "old"])).toEqual(before);
        },
      ),
      { numRuns: 60 },
    );
  });

  test("refuses names that become one, and leaves nothing of the new tree", () => {
    using folder = makeTemporaryFolder();
    const [from, to] = ["0".repeat(32), "1".repeat(32)];
    mkdirSync(folder.join("old", "sub"), { recursive: true });
    for (const part of [from, to]) writeFileSync(folder.join("old", "sub", part), "");
    const [result] = runTreeTool("plain", ["rewrite", folder.path, "old", "new", "-", `${from}=${to}`]);
    expect([result?.["code"], textOfHex(result?.["pathHex"])]).toEqual(["OUTPUT_REWRITE_COLLISION", `sub/${to}`]);
    expect(readdirSync(folder.path)).toEqual(["old"]);
  });

  test("never replaces what has the new name", () => {
    using folder = makeTemporaryFolder();
    for (const name of ["old", "new"]) mkdirSync(folder.join(name));
    writeFileSync(folder.join("new", "kept"), "");
    const pair = `${"0".repeat(32)}=${"1".repeat(32)}`;
    const [result] = runTreeTool("plain", ["rewrite", folder.path, "old", "new", "-", pair]);
    expect(result).toMatchObject({ code: "TREE_SYSTEM_CALL", errno: 17 });
    expect(readdirSync(folder.join("new"))).toEqual(["kept"]);
  });
});

/** Undefined if two names of a directory become one. Replacing is by bytes, as latin1 keeps them. */
function replaceIn(root: Tree, replace: (text: string) => string): Tree | undefined {
  const bytes = (value: Uint8Array) => Buffer.from(replace(Buffer.from(value).toString("latin1")), "latin1");
  if (root.kind === "file") return { ...root, contents: bytes(root.contents) };
  if (root.kind === "symlink") return { ...root, target: bytes(root.target) };
  const entries: [Uint8Array, Tree][] = [];
  for (const [name, node] of root.entries) {
    const replaced = replaceIn(node, replace);
    if (replaced === undefined) return undefined;
    entries.push([bytes(name), replaced]);
  }
  const names = new Set(entries.map(([name]) => Buffer.from(name).toString("hex")));
  return names.size === entries.length ? { kind: "directory", entries } : undefined;
}

function sorted(root: Tree): Tree {
  if (root.kind !== "directory") return root;
  const entries = root.entries.map(([name, node]) => [name, sorted(node)] as const);
  return { kind: "directory", entries: entries.sort(([a], [b]) => Buffer.compare(a, b)) };
}
