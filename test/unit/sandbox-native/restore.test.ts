import { createHash } from "node:crypto";
import { readdirSync } from "node:fs";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { CloisterError } from "../../../derivations/error.ts";
import { decodeNar } from "../../../derivations/nar/decoder.ts";
import { encodeNar } from "../../../derivations/nar/encoder.ts";
import { errorOf } from "../../../sandbox-native/errors.ts";
import {
  compileNativePrograms,
  packBatch,
  runTreeTool,
  textOfHex,
  type Variant,
} from "../../support/native-programs.ts";
import { eventsOf, rawNar, type Tree, tree } from "../derivations/arbitraries.ts";
import { listEntries, makeTemporaryFolder } from "./disk-trees.ts";

type Token = string | Uint8Array | bigint;
const magic = "nix-archive-1";
const file: Token[] = ["(", "type", "regular", "contents", "", ")"];
const link = (target: string): Token[] => ["(", "type", "symlink", "target", target, ")"];
const entry = (name: string, node: Token[] = file): Token[] => ["entry", "(", "name", name, "node", ...node, ")"];
const directory = (...entries: Token[][]): Token[] => ["(", "type", "directory", ...entries.flat(), ")"];
const archive = (...tokens: Token[]) => rawNar(magic, ...tokens);
const nested = (levels: number, node: Token[] = file): Token[] =>
  levels === 1 ? node : directory(entry("a", nested(levels - 1, node)));
const archiveOf = (root: Tree) => Buffer.concat([...encodeNar(eventsOf(root))]);

const sample = archive(
  ...directory(
    entry("a", ["(", "type", "regular", "executable", "", "contents", "hello", ")"]),
    entry("b", directory()),
    entry("c", link("a/b")),
  ),
);
const hugeLengths = [
  2n ** 32n - 8n,
  2n ** 32n + 8n,
  2n ** 63n - 1n,
  2n ** 63n,
  ...Array.from({ length: 8 }, (_, i) => 2n ** 64n - 8n + BigInt(i)),
];

/** Each archive here is refused; what for is compared with the decoder of derivations/. */
const hostile: Record<string, Uint8Array[]> = {
  NAR_TRUNCATED: Array.from({ length: sample.length }, (_, size) => sample.subarray(0, size)),
  NAR_TRAILING_BYTES: [Buffer.concat([sample, Buffer.alloc(1)]), Buffer.concat([sample, sample])],
  NAR_TOKEN_UNEXPECTED: [
    rawNar("nix-archive-2"),
    archive("(", "type", "fifo", ")"),
    archive("(", "type", "regular", "executable", "x", "contents", "", ")"),
    archive("(", "type", "regular", ")"),
    archive("(", "type", "symlink", ")"),
    archive("(", "contents", "", "type", "regular", ")"),
    archive("(", "type", "directory", "entry", "(", "node", ...file, "name", "a", ")", ")"),
    archive("(", "type", 'a\n"\\\u0001', ")"),
    archive("(", "type", "a string that is no word"),
  ],
  NAR_PADDING_NONZERO: [...sample.keys()].flatMap((index) => {
    // Where the sample has padding: a byte that must be zero is not.
    const changed = Buffer.from(sample);
    changed[index] = (changed[index] ?? 0) ^ 0x80;
    return codeOfDecoder(changed) === "NAR_PADDING_NONZERO" ? [changed] : [];
  }),
  NAR_NAME_INVALID: ["", ".", "..", "a/b", "/", "a\0", "x".repeat(256)].map((name) =>
    archive(...directory(entry(name))),
  ),
  NAR_NAME_ORDER: [
    archive(...directory(entry("b"), entry("a"))),
    archive(...directory(entry("a"), entry("a"))),
    archive(...directory(entry("a", link("b")), entry("a", directory(entry("x"))))),
    archive(...directory(entry("é"), entry("z"))),
  ],
  NAR_TARGET_INVALID: ["", "a\0b", "x".repeat(4096)].map((target) => archive(...link(target))),
  NAR_TOO_DEEP: [archive(...nested(65)), archive(...nested(65, link("a"))), archive(...nested(300))],
  NAR_LENGTH_TOO_BIG: [2n ** 63n, 2n ** 64n - 1n].map((size) => archive("(", "type", "regular", "contents", size)),
};

/** A huge length for each field that has one: nothing may be allocated for it, and no sum may overflow. */
const hugeFields = hugeLengths.flatMap((length) => [
  rawNar(length),
  archive(length),
  archive("(", "type", length),
  archive("(", "type", "regular", "contents", length),
  archive("(", "type", "regular", "contents", length, "some bytes"),
  archive("(", "type", "regular", "executable", length),
  archive("(", "type", "symlink", "target", length),
  archive("(", "type", "directory", "entry", "(", "name", length),
]);

describe.each<Variant>(["plain", "sanitized"])("restoring an archive (%s)", (variant) => {
  beforeAll(() => compileNativePrograms(variant), 300_000);

  function restoreAll(archives: readonly Uint8Array[]) {
    using folder = makeTemporaryFolder();
    const results = runTreeTool(variant, ["restore-batch", folder.path], packBatch(archives));
    expect(readdirSync(folder.path)).toEqual([]);
    return results;
  }

  test("gives any tree, whose archive is the same again", () => {
    fc.assert(
      fc.property(fc.array(tree, { minLength: 10, maxLength: 30 }), (roots) => {
        const archives = roots.map(archiveOf);
        const expected = archives.map((bytes) => ({
          narHash: createHash("sha256").update(bytes).digest("hex"),
          narSize: String(bytes.length),
          same: true,
        }));
        expect(restoreAll(archives)).toEqual(expected);
      }),
      { numRuns: variant === "plain" ? 20 : 5 },
    );
  });

  test("takes what is just within the limits", () => {
    const long = "x".repeat(255);
    const atLimits = [archive(...nested(64)), archive(...directory(entry(long))), archive(...link("x".repeat(4095)))];
    expect(restoreAll(atLimits).map(({ same }) => same)).toEqual([true, true, true]);
  });

  test.each(Object.entries(hostile))("refuses with %s, and leaves nothing behind", (code, archives) => {
    expect(archives.length).toBeGreaterThan(0);
    const results = restoreAll(archives).map(describeRefusal);
    expect(results).toEqual(archives.map(refusalOfDecoder));
    expect(new Set(results.map((result) => result.code))).toEqual(new Set([code]));
  });

  test("refuses a huge length in each field as the decoder does", () => {
    expect(restoreAll(hugeFields).map(describeRefusal)).toEqual(hugeFields.map(refusalOfDecoder));
  });

  /** Anything that is changed in an archive is seen by both readers alike, or makes another archive that both take. */
  test("agrees with the decoder on archives with changed bytes", () => {
    const change = fc.record({
      at: fc.nat(),
      byte: fc.oneof(fc.constantFrom(0, 1, 8, 40, 255), fc.nat(255)),
      isCut: fc.boolean(),
    });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(tree, fc.array(change, { minLength: 1, maxLength: 3 })), { minLength: 20, maxLength: 60 }),
        (cases) => {
          const archives = cases.map(([root, changes]) => {
            let bytes = Buffer.from(archiveOf(root));
            for (const { at, byte, isCut } of changes) {
              bytes[at % bytes.length] = byte;
              if (isCut && at % 4 === 0) bytes = bytes.subarray(0, 1 + (at % bytes.length));
            }
            return bytes;
          });
          const results = restoreAll(archives);
          for (const [index, bytes] of archives.entries()) {
            const expected = refusalOfDecoder(bytes);
            const result = results[index] as Record<string, unknown>;
            if (expected === undefined) expect(result["same"]).toBe(true);
            else expect(describeRefusal(result)).toEqual(expected);
          }
        },
      ),
      { numRuns: variant === "plain" ? 15 : 5 },
    );
  });
});

describe("a restored tree", () => {
  beforeAll(() => compileNativePrograms("plain"), 300_000);

  test("is canonical: modes 0444 and 0555, mtime 1, also under another umask", () => {
    for (const umask of [0o022, 0o077]) {
      using folder = makeTemporaryFolder();
      const before = process.umask(umask);
      const root = ["a", ["(", "type", "regular", "executable", "", "contents", "x", ")"]] as const;
      const bytes = archive(
        ...directory(
          entry("0"),
          entry(root[0], [...root[1]]),
          entry("b", directory(entry("c"))),
          entry("l", link("a")),
        ),
      );
      runTreeTool("plain", ["restore", folder.path, "tree"], bytes);
      process.umask(before);
      const seen = listEntries(folder.join("tree")).map(([path, status]) => [
        path,
        status.mode & 0o7777,
        status.mtimeMs,
      ]);
      expect(seen.filter(([path]) => path !== "l")).toEqual([
        ["", 0o555, 1000],
        ["0", 0o444, 1000],
        ["a", 0o555, 1000],
        ["b", 0o555, 1000],
        ["b/c", 0o444, 1000],
      ]);
      expect(seen.find(([path]) => path === "l")?.[2]).toBe(1000);
    }
  });

  test("has the hash of its contents if a flat hash was asked for, and must be one plain file then", () => {
    using folder = makeTemporaryFolder();
    const contents = Buffer.alloc(300_000, "contents");
    const bytes = archive("(", "type", "regular", "contents", contents, ")");
    const [restored] = runTreeTool("plain", ["restore-flat", "sha512", folder.path, "flat"], bytes);
    expect(restored?.["hash"]).toBe(createHash("sha512").update(contents).digest("hex"));
    for (const node of [directory(), link("a"), ["(", "type", "regular", "executable", "", "contents", "", ")"]]) {
      const [refused] = runTreeTool("plain", ["restore-flat", "sha1", folder.path, "other"], archive(...node));
      expect(refused?.["code"]).toBe("TREE_NOT_FLAT");
    }
    expect(readdirSync(folder.path)).toEqual(["flat"]);
  });

  test("never replaces what has its name", () => {
    using folder = makeTemporaryFolder();
    runTreeTool("plain", ["restore", folder.path, "taken"], archive(...link("first")));
    for (const node of [file, link("second"), directory()]) {
      const [result] = runTreeTool("plain", ["restore", folder.path, "taken"], archive(...node));
      expect(result).toMatchObject({ code: "TREE_SYSTEM_CALL", errno: 17 });
    }
    expect(runTreeTool("plain", ["hash", folder.path, "taken"])[0]?.["narHash"]).toBe(
      createHash("sha256")
        .update(archive(...link("first")))
        .digest("hex"),
    );
  });

  test("is the same when a text is written directly", () => {
    using folder = makeTemporaryFolder();
    for (const size of [0, 1, 7, 8, 9, 5000]) {
      const contents = Buffer.alloc(size, "text");
      const bytes = archive("(", "type", "regular", "contents", contents, ")");
      const [written] = runTreeTool("plain", ["write", folder.path, `text${size}`], contents);
      expect(written?.["narHash"]).toBe(createHash("sha256").update(bytes).digest("hex"));
      expect(written?.["narSize"]).toBe(String(bytes.length));
      expect(runTreeTool("plain", ["hash", folder.path, `text${size}`])).toEqual([written]);
    }
  });
});

function codeOfDecoder(bytes: Uint8Array): string | undefined {
  return refusalOfDecoder(bytes)?.code;
}

function refusalOfDecoder(bytes: Uint8Array): { code: string; details: unknown } | undefined {
  try {
    decodeNar([bytes]);
    return undefined;
  } catch (error) {
    if (!(error instanceof CloisterError)) throw error;
    return { code: error.code, details: error.details };
  }
}

/** The failure as sandbox-native/errors.ts makes an error of it. */
function describeRefusal(result: Record<string, unknown>): { code: string; details: unknown } {
  const error = errorOf({
    code: result["code"],
    step: textOfHex(result["stepHex"]),
    errno: result["errno"],
    path: Buffer.from(String(result["pathHex"]), "hex"),
    offset: BigInt(String(result["offset"])),
  });
  return error instanceof CloisterError
    ? { code: error.code, details: error.details }
    : { code: String(result["code"]), details: result };
}
