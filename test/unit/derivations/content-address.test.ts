import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bytes } from "../../../derivations/bytes.ts";
import {
  type ContentAddress,
  contentAddressesEqual,
  makeFixedOutputPath,
  makeOutputPath,
  makeSourcePath,
  makeTextPath,
  parseContentAddress,
  printContentAddress,
} from "../../../derivations/content-address.ts";
import { type HashAlgorithm, hashBytes, parseHash, sha256 } from "../../../derivations/hash.ts";
import { parseStoreDirectory } from "../../../derivations/store-path.ts";
import { anyHash, storeDirectory, storePath } from "./arbitraries.ts";
import { golden } from "./golden.ts";
import { refusalOf } from "./refusal.ts";

interface GoldenPaths {
  readonly fixed: {
    paths: { algorithm: HashAlgorithm; method: "flat" | "recursive"; hash: string; name: string; path: string }[];
  };
  readonly guix: { paths: [string, string, string, string] };
  readonly texts: { paths: [string, string, string] };
  readonly contentAddresses: { values: { path: string; ca: string }[] };
}

const paths = golden<GoldenPaths>("paths.json");
const nix = parseStoreDirectory("/nix/store");
const gnu = parseStoreDirectory("/gnu/store");

describe("paths of contents", () => {
  test("are those of nix-store --print-fixed-path", () => {
    for (const { algorithm, method, hash, name, path } of paths.fixed.paths)
      expect(makeFixedOutputPath(nix, name, { method, hash: parseHash(hash, algorithm) })).toBe(path);
  });

  test("are those of Guix, and so are output paths", () => {
    const empty = sha256("");
    expect([
      makeSourcePath(gnu, "n", empty),
      makeFixedOutputPath(gnu, "n", { method: "flat", hash: empty }),
      makeOutputPath(gnu, "n", "out", empty),
      makeOutputPath(gnu, "n", "dev", empty),
    ]).toEqual(paths.guix.paths);
  });

  test("of texts are those of Nix, with references in any order", () => {
    const a = makeTextPath(nix, "a", bytes("x"), []);
    const b = makeTextPath(nix, "b", bytes("y"), []);
    const c = (references: (typeof a)[]) =>
      makeTextPath(nix, "c", bytes(`/nix/store/${b} /nix/store/${a}`), references);
    expect([a, b, c([b, a])]).toEqual(paths.texts.paths);
    expect(c([a, b])).toBe(c([b, a, b]));
    expect(c([a])).not.toBe(c([a, b]));
  });

  test("follow from the content addresses in Nix's database", () => {
    for (const { path, ca } of paths.contentAddresses.values) {
      const address = parseContentAddress(ca);
      expect(printContentAddress(address)).toBe(ca);
      if (address.method === "text") continue; // its references are in the test above
      expect(makeFixedOutputPath(nix, "file", address)).toBe(path);
      if (address.method === "flat")
        expect(address.hash.bytes).toEqual(hashBytes(address.hash.algorithm, "hello\n").bytes);
    }
  });

  test("change with the references and the self-reference of a source", () => {
    fc.assert(
      fc.property(storePath(), (reference) => {
        const make = (others: (typeof reference)[], self: boolean) =>
          makeSourcePath(storeDirectory, "n", sha256("x"), { others, self });
        expect(new Set([make([], false), make([reference], false), make([], true), make([reference], true)]).size).toBe(
          4,
        );
      }),
    );
  });

  test("refuse references where the form has no place for them", () => {
    const reference = parseContentAddress("fixed:sha1:iwjz551fyw0cxcjgf4l6c879zabd6wpm");
    const others = [makeTextPath(nix, "a", bytes("x"), [])];
    const code = (address: ContentAddress, references: { others: typeof others; self: boolean }) =>
      refusalOf(() => makeFixedOutputPath(nix, "n", address, references)).code;
    expect(code(reference, { others, self: false })).toBe("CONTENT_ADDRESS_REFERENCES");
    expect(code({ method: "flat", hash: sha256("") }, { others, self: false })).toBe("CONTENT_ADDRESS_REFERENCES");
    expect(code({ method: "text", hash: sha256("") }, { others: [], self: true })).toBe("CONTENT_ADDRESS_REFERENCES");
  });
});

describe("content addresses", () => {
  test("are read back from what is printed", () => {
    fc.assert(
      fc.property(fc.constantFrom("flat" as const, "recursive" as const), anyHash, (method, hash) => {
        const read = parseContentAddress(printContentAddress({ method, hash }));
        expect(contentAddressesEqual(read, { method, hash })).toBe(true);
        expect(contentAddressesEqual(read, { method: method === "flat" ? "recursive" : "flat", hash })).toBe(false);
      }),
    );
  });

  test.each(["", "text:", "sha256:x", "fixed:text:sha256:0", "text:sha1:iwjz551fyw0cxcjgf4l6c879zabd6wpm"])(
    "are not such as %j",
    (text) => {
      expect(["CONTENT_ADDRESS_INVALID", "HASH_INVALID"]).toContain(refusalOf(() => parseContentAddress(text)).code);
    },
  );

  test("of a text are hashed by sha256 only", () => {
    expect(refusalOf(() => parseContentAddress("text:sha1:iwjz551fyw0cxcjgf4l6c879zabd6wpm")).code).toBe(
      "CONTENT_ADDRESS_INVALID",
    );
  });
});
