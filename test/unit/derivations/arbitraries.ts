/** Generators of values of the vocabulary, rich in awkward cases. */
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { encodeBase32 } from "../../../derivations/base32.ts";
import { compareBytes } from "../../../derivations/bytes.ts";
import { makeFixedOutputPath, outputPathName } from "../../../derivations/content-address.ts";
import type { Derivation } from "../../../derivations/derivation.ts";
import { type Hash, type HashAlgorithm, hashSizes } from "../../../derivations/hash.ts";
import type { NarEvent } from "../../../derivations/nar/grammar.ts";
import type { Output } from "../../../derivations/output.ts";
import { parseStoreDirectory, parseStorePath, type StorePath } from "../../../derivations/store-path.ts";

export const storeDirectory = parseStoreDirectory("/cloister/store");

export const algorithm = fc.constantFrom<HashAlgorithm>("md5", "sha1", "sha256", "sha512");

export const anyHash: fc.Arbitrary<Hash> = algorithm.chain((chosen) =>
  fc
    .uint8Array({ minLength: hashSizes[chosen], maxLength: hashSizes[chosen] })
    .map((bytes) => ({ algorithm: chosen, bytes })),
);

export const pathName = fc
  .stringMatching(/^[0-9a-zA-Z+_?=][0-9a-zA-Z+._?=-]{0,30}$/)
  .filter((name) => !name.endsWith(".drv"));

export function storePath(suffix = ""): fc.Arbitrary<StorePath> {
  return fc
    .tuple(fc.uint8Array({ minLength: 20, maxLength: 20 }), pathName)
    .map(([hash, name]) => parseStorePath(`${encodeBase32(hash)}-${name}${suffix}`));
}

/** Bytes that a builder can be given, often those that ATerm escapes. */
export const value = fc
  .oneof(
    fc.uint8Array({ min: 1, maxLength: 40 }),
    fc.array(fc.constantFrom(...'"\\\n\r\tn é'), { maxLength: 12 }).map((parts) => Buffer.from(parts.join(""))),
  )
  .map((bytes) => Uint8Array.from(bytes));

const outputId = fc.stringMatching(/^[a-z][a-z0-9_]{0,6}$/);

const variableName = fc
  .string({ unit: "binary", minLength: 1, maxLength: 8 })
  .filter((name) => !name.includes("=") && !name.includes("\0"));

/** Outputs of one kind, as a derivation must have them. */
function outputs(name: string): fc.Arbitrary<ReadonlyMap<string, Output>> {
  const ids = fc.uniqueArray(outputId, { minLength: 1, maxLength: 4 });
  const each = (output: fc.Arbitrary<Output>) =>
    ids
      .chain((chosen) => fc.tuple(...chosen.map((id) => output.map((one) => [id, one] as const))))
      .map((all) => new Map(all));
  const method = fc.constantFrom("flat" as const, "recursive" as const);
  const fixed = fc.tuple(method, anyHash).map(([chosen, hash]) => {
    const path = makeFixedOutputPath(storeDirectory, outputPathName(name, "out"), { method: chosen, hash });
    return new Map([["out", { kind: "fixed", method: chosen, hash, path } as Output]]);
  });
  return fc.oneof(
    each(storePath().map((path) => ({ kind: "input-addressed", path }))),
    each(fc.tuple(method, algorithm).map(([chosen, one]) => ({ kind: "floating", method: chosen, algorithm: one }))),
    each(fc.constant({ kind: "deferred" })),
    fixed,
  );
}

/** Valid in itself; its output paths are not those that follow from it. */
export const derivation: fc.Arbitrary<Derivation> = pathName.chain((name) =>
  fc.record({
    name: fc.constant(name),
    outputs: outputs(name),
    inputDerivations: fc
      .array(fc.tuple(storePath(".drv"), fc.uniqueArray(outputId, { minLength: 1, maxLength: 3 })), { maxLength: 4 })
      .map((entries) => new Map(entries.map(([path, ids]) => [path, new Set(ids)]))),
    inputSources: fc.array(storePath(), { maxLength: 4 }).map((paths) => new Set(paths)),
    system: fc.constantFrom("x86_64-linux", "builtin", ""),
    builder: value,
    args: fc.array(value, { maxLength: 4 }),
    environment: fc.array(fc.tuple(variableName, value), { maxLength: 6 }).map((entries) => new Map(entries)),
  }),
);

export type Tree =
  | { readonly kind: "file"; readonly executable: boolean; readonly contents: Uint8Array }
  | { readonly kind: "symlink"; readonly target: Uint8Array }
  | { readonly kind: "directory"; readonly entries: readonly (readonly [Uint8Array, Tree])[] };

const fileName = fc
  .oneof(
    fc.uint8Array({ min: 1, minLength: 1, maxLength: 12 }),
    fc
      .constantFrom("a", "a.b", "a-", "A", "...", "é", "__proto__", "10", "9", "x".repeat(255))
      .map((name) => Buffer.from(name)),
  )
  .map((name) => Uint8Array.from(name, (byte) => (byte === 0x2f ? 0x5f : byte)))
  .filter((name) => !(name[0] === 0x2e && name.length <= 2));

/** Files with sizes around a multiple of 8, links, and directories in the order of an archive. */
export const tree: fc.Arbitrary<Tree> = fc.letrec<{ node: Tree; leaf: Tree; directory: Tree }>((tie) => ({
  node: fc.oneof({ maxDepth: 4, depthSize: "small" }, tie("leaf"), tie("directory")),
  leaf: fc.oneof(
    fc.record({
      kind: fc.constant("file" as const),
      executable: fc.boolean(),
      contents: fc.uint8Array({ maxLength: 40 }),
    }),
    fc.record({
      kind: fc.constant("symlink" as const),
      target: fc.uint8Array({ min: 1, minLength: 1, maxLength: 20 }),
    }),
  ),
  directory: fc
    .uniqueArray(fc.tuple(fileName, tie("node")), {
      maxLength: 5,
      selector: ([name]) => Buffer.from(name).toString("hex"),
    })
    .map((entries) => ({ kind: "directory", entries: entries.sort(([left], [right]) => compareBytes(left, right)) })),
})).node;

export function* eventsOf(root: Tree): Generator<NarEvent> {
  switch (root.kind) {
    case "file":
      yield { kind: "file", executable: root.executable, size: BigInt(root.contents.length) };
      if (root.contents.length > 0) yield { kind: "contents", bytes: root.contents };
      break;
    case "symlink":
      yield { kind: "symlink", target: root.target };
      break;
    case "directory":
      yield { kind: "directory" };
      for (const [name, node] of root.entries) {
        yield { kind: "entry", name };
        yield* eventsOf(node);
      }
      yield { kind: "end" };
      break;
    default:
      root satisfies never;
  }
}

/** The bytes of an archive that may not be one: words and lengths as they are given. */
export function rawNar(...tokens: readonly (string | Uint8Array | bigint)[]): Uint8Array {
  return Buffer.concat(
    tokens.map((token) => {
      if (typeof token === "bigint") {
        const length = Buffer.alloc(8);
        length.writeBigUInt64LE(token);
        return length;
      }
      const content = Buffer.from(token as string);
      const framed = Buffer.alloc(8 + Math.ceil(content.length / 8) * 8);
      framed.writeBigUInt64LE(BigInt(content.length));
      framed.set(content, 8);
      return framed;
    }),
  );
}
