/** What the store asks of its writer, over both that there are: the plain one and the launcher. */
import { lstatSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bytes } from "../../../derivations/bytes.ts";
import { makeFixedOutputPath } from "../../../derivations/content-address.ts";
import { sha256 } from "../../../derivations/hash.ts";
import type { NarEvent } from "../../../derivations/nar/grammar.ts";
import type { StorePath } from "../../../derivations/store-path.ts";
import { encodeString, encodeU64 } from "../../../derivations/wire.ts";
import { dumpTree } from "../../../sandbox-native/read-tree.ts";
import { addSource, addToStore } from "../../../store/add.ts";
import { collect } from "../../support/collect.ts";
import { findProblems, workOn } from "../../support/store-state.ts";
import { directoryNar, fileNar, inPieces, nar, storeDirectory, TemporaryStore } from "../../support/temporary-store.ts";
import { writerKinds, writerStarter } from "../../support/tree-writers.ts";

const source = { kind: "source", references: [] } as const;

/** A node as the tokens of an archive, so that it can be wrong. */
const node = (...tokens: (string | Uint8Array)[]) => Buffer.concat(tokens.map((token) => encodeString(token)));
const archive = (...parts: Uint8Array[]) => Buffer.concat([encodeString("nix-archive-1"), ...parts]);
const file = node("(", "type", "regular", "contents", "x", ")");
const directory = (...entries: (readonly [string, Uint8Array])[]) =>
  Buffer.concat([
    node("(", "type", "directory"),
    ...entries.map(([name, inner]) => Buffer.concat([node("entry", "(", "name", name, "node"), inner, node(")")])),
    node(")"),
  ]);

const hostile: Record<string, { readonly bytes: Uint8Array; readonly code: string }> = {
  "cut short": { bytes: archive(file).subarray(0, -16), code: "NAR_TRUNCATED" },
  "with bytes after it": { bytes: Buffer.concat([archive(file), encodeU64(0)]), code: "NAR_TRAILING_BYTES" },
  "with a name ..": { bytes: archive(directory(["..", file])), code: "NAR_NAME_INVALID" },
  "with a name .": { bytes: archive(directory([".", file])), code: "NAR_NAME_INVALID" },
  "with a slash in a name": { bytes: archive(directory(["a/b", file])), code: "NAR_NAME_INVALID" },
  "with a NUL in a name": { bytes: archive(directory(["a\0b", file])), code: "NAR_NAME_INVALID" },
  "with an empty name": { bytes: archive(directory(["", file])), code: "NAR_NAME_INVALID" },
  "with a name of 256 bytes": { bytes: archive(directory(["n".repeat(256), file])), code: "NAR_NAME_INVALID" },
  "with a name twice": { bytes: archive(directory(["a", file], ["a", file])), code: "NAR_NAME_ORDER" },
  "with names that are not sorted": { bytes: archive(directory(["b", file], ["a", file])), code: "NAR_NAME_ORDER" },
  "with a symlink and then a file of its name": {
    bytes: archive(directory(["a", node("(", "type", "symlink", "target", "/tmp", ")")], ["a", file])),
    code: "NAR_NAME_ORDER",
  },
  "with a symlink and then something below it": {
    bytes: archive(directory(["a", node("(", "type", "symlink", "target", "/tmp", ")")], ["a/b", file])),
    code: "NAR_NAME_INVALID",
  },
  "with an empty target": {
    bytes: archive(node("(", "type", "symlink", "target", "", ")")),
    code: "NAR_TARGET_INVALID",
  },
  "with a NUL in a target": {
    bytes: archive(node("(", "type", "symlink", "target", "a\0b", ")")),
    code: "NAR_TARGET_INVALID",
  },
  "of a device": { bytes: archive(node("(", "type", "device", ")")), code: "NAR_TOKEN_UNEXPECTED" },
  "of another magic": { bytes: Buffer.concat([encodeString("nix-archive-2"), file]), code: "NAR_TOKEN_UNEXPECTED" },
  "with a file of 2^63 bytes": {
    bytes: Buffer.concat([archive(node("(", "type", "regular", "contents")), encodeU64(2n ** 63n)]),
    code: "NAR_LENGTH_TOO_BIG",
  },
  "with padding that is not zero": {
    bytes: Buffer.from(archive(file)).fill(1, archive(file).length - 17, archive(file).length - 16),
    code: "NAR_PADDING_NONZERO",
  },
  "10,000 levels deep": {
    bytes: archive(
      ...Array.from({ length: 10_000 }, () => node("(", "type", "directory", "entry", "(", "name", "d", "node")),
    ),
    code: "NAR_TOO_DEEP",
  },
};

const content = fc.uint8Array({ maxLength: 40 });
const name = fc
  .string({ unit: fc.constantFrom(..."abé.-_ \n", "\u{1f600}"), minLength: 1, maxLength: 6 })
  .filter((text) => text !== "." && text !== "..");
const trees = fc.letrec<{ tree: NarEvent[] }>((tie) => ({
  tree: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc
      .record({ bytes: content, executable: fc.boolean() })
      .map(({ bytes: data, executable }): NarEvent[] => [
        { kind: "file", executable, size: BigInt(data.length) },
        ...(data.length > 0 ? [{ kind: "contents", bytes: data } as const] : []),
      ]),
    name.map((target): NarEvent[] => [{ kind: "symlink", target: bytes(target) }]),
    fc.dictionary(name, tie("tree"), { maxKeys: 4 }).map((entries): NarEvent[] => [
      { kind: "directory" },
      ...Object.entries(entries)
        .map(([key, inner]) => ({ key: bytes(key), inner }))
        .sort((left, right) => Buffer.compare(left.key, right.key))
        .flatMap(({ key, inner }): NarEvent[] => [{ kind: "entry", name: key }, ...inner]),
      { kind: "end" },
    ]),
  ),
})).tree;

describe.each(writerKinds)("the %s writer", (kind) => {
  let temporary: TemporaryStore;
  let problem: string | undefined;

  beforeAll(async () => {
    temporary = new TemporaryStore();
    try {
      await temporary.open({ startWriter: writerStarter(kind) });
    } catch (error) {
      problem = `needs a launcher: ${error instanceof Error ? error.message : String(error)}`;
    }
  });
  afterAll(async () => {
    await temporary[Symbol.asyncDispose]();
  });

  const emptyStaging = async () => {
    for (let attempt = 0; attempt < 200 && temporary.leftInStaging().length > 0; ++attempt) await sleep(10);
    return temporary.leftInStaging();
  };

  for (const [what, { bytes: hostileBytes, code }] of Object.entries(hostile))
    test(`an archive ${what} is ${code} and leaves no trace`, async ({ skip }) => {
      if (problem !== undefined) skip(problem);
      const before = temporary.onDisk();
      for (const size of [7, 4096, 1_000_000])
        await expect(addSource(temporary.store, "x", source, inPieces(hostileBytes, size))).rejects.toMatchObject({
          code,
        });
      expect(await emptyStaging()).toEqual([]);
      expect(temporary.onDisk()).toEqual(before);
    });

  test("any tree comes back byte for byte, in canonical form, with its archive's hash", async ({ skip }) => {
    if (problem !== undefined) skip(problem);
    const { store } = temporary;
    await fc.assert(
      fc.asyncProperty(trees, fc.integer({ min: 1, max: 300 }), async (events, size) => {
        const whole = nar(events);
        const info = await addSource(store, "tree", source, inPieces(whole, size));
        expect(Buffer.from(info.narHash.bytes).equals(sha256(whole).bytes)).toBe(true);
        expect(info.narSize).toBe(BigInt(whole.length));
        const top = store.layout.realPath(info.path);
        expect(Buffer.concat(await collect(dumpTree(top))).equals(whole)).toBe(true);
        for (const path of [top, ...listBelow(top)]) {
          const stat = lstatSync(path);
          expect(stat.mtimeMs).toBe(1000);
          if (!stat.isSymbolicLink()) expect([0o444, 0o555]).toContain(stat.mode & 0o7777);
          if (stat.isDirectory()) expect(stat.mode & 0o7777).toBe(0o555);
        }
      }),
      { numRuns: 40 },
    );
    expect(await emptyStaging()).toEqual([]);
  });

  test("a flipped byte never gets in under the hash that was promised, and never hangs", async ({ skip }) => {
    if (problem !== undefined) skip(problem);
    const { store } = temporary;
    const size = store.graph.size;
    await fc.assert(
      fc.asyncProperty(trees, fc.nat(), fc.integer({ min: 1, max: 255 }), async (events, place, change) => {
        const whole = nar(events);
        const flipped = Buffer.from(whole);
        const at = place % flipped.length;
        flipped[at] = (flipped[at] ?? 0) ^ change;
        const contentAddress = { method: "recursive", hash: sha256(whole) } as const;
        const path = makeFixedOutputPath(storeDirectory, "flipped", contentAddress);
        const info = { path, contentAddress, narHash: sha256(whole), references: new Set<StorePath>() };
        const adding = addToStore(store, { ...info, ultimate: false, signatures: [] }, inPieces(flipped, 50));
        await expect(adding).rejects.toMatchObject({ code: expect.stringMatching(/^(NAR_|STORE_NAR_HASH_MISMATCH)/) });
      }),
      { numRuns: 40 },
    );
    expect(store.graph.size).toBe(size);
    expect(await emptyStaging()).toEqual([]);
  });

  test("a move replaces what lies there; a removal says what was freed and what was missing", async ({ skip }) => {
    if (problem !== undefined) skip(problem);
    const { writer, layout } = temporary.store;
    const first = await writer.restore(inPieces(directoryNar({ a: "x".repeat(10_000) })));
    const second = await writer.restore(inPieces(fileNar("second")));
    await writer.move([{ from: first.stagingName, to: "one" }]);
    await writer.move([{ from: second.stagingName, to: "one" }]);
    expect(lstatSync(join(layout.realStoreDirectory, "one")).isFile()).toBe(true);
    const third = await writer.restore(inPieces(directoryNar({ b: "y".repeat(20_000) })));
    await writer.move([{ from: third.stagingName, to: "two" }]);
    const { freedBytes, missing } = await writer.remove(["one", "two", "three"]);
    expect(freedBytes).toBeGreaterThanOrEqual(20_006n);
    expect(missing).toEqual(["three"]);
    expect(await emptyStaging()).toEqual([]);
  });

  test("what is discarded is gone from staging", async ({ skip }) => {
    if (problem !== undefined) skip(problem);
    const { writer } = temporary.store;
    const trees = [
      await writer.restore(inPieces(directoryNar({ a: "1" }))),
      await writer.restore(inPieces(fileNar("2"))),
    ];
    expect(temporary.leftInStaging().length).toBe(2);
    await writer.discard(trees.map((tree) => tree.stagingName));
    expect(await emptyStaging()).toEqual([]);
  });

  test("names that lead elsewhere are refused", async ({ skip }) => {
    if (problem !== undefined) skip(problem);
    const { writer, layout } = temporary.store;
    const outside = mkdtempSync(join(tmpdir(), "cloister-outside-"));
    try {
      for (const bad of ["..", ".", "", "a/b", outside, `../../../../../..${outside}`]) {
        await expect(writer.remove([bad])).rejects.toThrow();
        await expect(writer.writeText(bad, bytes("x"))).rejects.toThrow();
        await expect(writer.move([{ from: bad, to: "x" }])).rejects.toThrow();
      }
      expect(readdirSync(outside)).toEqual([]);
      expect(readdirSync(layout.realStoreDirectory)).not.toContain("x");
    } finally {
      rmSync(outside, { recursive: true, force: true });
    }
  });

  test("a store does all its work over it, and is whole when it is opened again", async ({ skip }) => {
    if (problem !== undefined) skip(problem);
    await workOn(temporary.store, 7, 60);
    expect(await emptyStaging()).toEqual([]);
    expect(await findProblems(temporary.store)).toEqual([]);
    await temporary.close();
    await temporary.open({ startWriter: writerStarter(kind) });
    expect(temporary.store.graph.size).toBeGreaterThan(0);
    expect(await findProblems(temporary.store)).toEqual([]);
  });
});

function listBelow(top: string): string[] {
  if (!lstatSync(top).isDirectory()) return [];
  const found = [top];
  for (const path of found)
    if (lstatSync(path).isDirectory()) for (const entry of readdirSync(path)) found.push(join(path, entry)); // visited later
  return found.slice(1);
}
