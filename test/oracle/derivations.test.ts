/**
 * Goal: the same .drv bytes, store paths and archives as the real Nix and Guix.
 * Method: random graphs of derivations, texts, and trees of files, made by them and by us.
 */
import { Buffer } from "node:buffer";
import { chmodSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseDerivation, printDerivation } from "../../derivations/aterm.ts";
import { bytesEqual, findText, text } from "../../derivations/bytes.ts";
import { makeFixedOutputPath, makeSourcePath } from "../../derivations/content-address.ts";
import { parseDerivationJson, printDerivationJson } from "../../derivations/derivation-json.ts";
import { hashBytes, sha256 } from "../../derivations/hash.ts";
import { encodeNar } from "../../derivations/nar/encoder.ts";
import { parseFullStorePath, parseStoreDirectory, printStorePath } from "../../derivations/store-path.ts";
import { algorithm, eventsOf, type Tree, tree } from "../unit/derivations/arbitraries.ts";
import { missingPeers, PeerDirectory } from "./derivations-peers.ts";
import { makeDerivations, printGuile, printNix, specs } from "./derivations-specs.ts";

const nix = parseStoreDirectory("/nix/store");
const gnu = parseStoreDirectory("/gnu/store");

/** New with each run, and in each failure's message; set CLOISTER_SEED to repeat one. */
const seed = Number(process.env.CLOISTER_SEED ?? Date.now() % 2 ** 31);
const sample = <Value>(arbitrary: fc.Arbitrary<Value>, count: number) => fc.sample(arbitrary, { numRuns: count, seed });
const only = <Value>(arbitrary: fc.Arbitrary<Value>) => sample(arbitrary, 1)[0] as Value;

describe(`with the seed ${seed}`, () => {
  test("250 derivations have the paths and the bytes that nix-instantiate gives them", ({ skip }) => {
    skip(missingPeers !== undefined, missingPeers);
    const all = only(specs(250, ["plain", "plain", "structured", "floating", "fixed"], "any"));
    using peer = new PeerDirectory();
    writeFileSync(join(peer.path, "all.nix"), printNix(all));
    const printed = peer.run(
      "nix-instantiate --store $PWD/root all.nix 2>/dev/null || nix-instantiate --store $PWD/root all.nix",
    );
    const paths = printed
      .trim()
      .split("\n")
      .map((line) => line.replace(/!.*/, "")); // it adds the first output's id

    const made = makeDerivations(nix, "nix", all);
    expect(paths).toHaveLength(all.length);
    made.forEach(({ path, derivation }, index) => {
      const theirs = readFileSync(join(peer.path, "root", paths[index] ?? ""));
      expect(text(printDerivation(nix, derivation))).toBe(theirs.toString());
      expect(printStorePath(nix, path)).toBe(paths[index]);
      expect(parseDerivation(nix, derivation.name, theirs)).toEqual(
        parseDerivation(nix, derivation.name, printDerivation(nix, derivation)),
      );
    });

    const stored = readdirSync(join(peer.path, "root/nix/store"));
    for (const { derivation } of made) for (const source of derivation.inputSources) expect(stored).toContain(source);

    const shown = JSON.parse(
      peer.run(`nix --store $PWD/root derivation show ${[...new Set(paths)].join(" ")}`),
    ).derivations;
    for (const { path, derivation } of made) {
      expect(JSON.parse(JSON.stringify(printDerivationJson(derivation)))).toEqual(shown[path]);
      expect(printDerivation(nix, parseDerivationJson(nix, shown[path]))).toEqual(printDerivation(nix, derivation));
    }
  });

  test("250 derivations have the paths and the bytes that Guix gives them", ({ skip }) => {
    skip(missingPeers !== undefined, missingPeers);
    const all = only(specs(250, ["plain", "plain", "plain", "fixed"], "ascii"));
    using peer = new PeerDirectory();
    writeFileSync(join(peer.path, "all.scm"), printGuile(all));
    const lines = peer.run("guile -s all.scm").trim().split("\n");

    expect(lines).toHaveLength(all.length);
    makeDerivations(gnu, "guix", all).forEach(({ path, derivation }, index) => {
      const [theirPath, theirBytes] = (lines[index] ?? "").split(" ");
      expect(text(printDerivation(gnu, derivation))).toBe(Buffer.from(theirBytes ?? "", "base64").toString());
      expect(printStorePath(gnu, path)).toBe(theirPath);
    });
  });

  test("60 trees have the archives and the source paths of nix-store, 60 files their fixed paths", ({ skip }) => {
    skip(missingPeers !== undefined, missingPeers);
    const trees = sample(tree, 60);
    const files = sample(fc.record({ algorithm, contents: fc.uint8Array({ maxLength: 100 }) }), 60);
    using peer = new PeerDirectory();
    trees.forEach((root, index) => void writeTree(Buffer.from(join(peer.path, `tree${index}`)), root));
    files.forEach(({ contents }, index) => void writeFileSync(join(peer.path, `file${index}`), contents));
    const printed = peer.run(
      [
        ...trees.map((_, index) => `nix-store --dump tree${index} >nar${index}`),
        `nix-store --store $PWD/root --add ${trees.map((_, index) => `tree${index}`).join(" ")}`,
        `xargs -n 2 nix-store --store $PWD/root --add-fixed <<end`,
        ...files.map((file, index) => `${file.algorithm} file${index}`),
        "end",
      ].join("\n"),
    );
    const paths = printed
      .trim()
      .split("\n")
      .map((line) => parseFullStorePath(nix, line));

    trees.forEach((root, index) => {
      const nar = Buffer.concat([...encodeNar(eventsOf(root))]);
      expect(bytesEqual(nar, readFileSync(join(peer.path, `nar${index}`)))).toBe(true);
      expect(makeSourcePath(nix, `tree${index}`, sha256(nar))).toBe(paths[index]);
    });
    files.forEach(({ algorithm: chosen, contents }, index) => {
      const address = { method: "flat", hash: hashBytes(chosen, contents) } as const;
      expect(makeFixedOutputPath(nix, `file${index}`, address)).toBe(paths[trees.length + index]);
    });
  });

  test("60 trees have the archives and the source paths of Guix", ({ skip }) => {
    skip(missingPeers !== undefined, missingPeers);
    const trees = sample(tree.filter(isText), 60);
    using peer = new PeerDirectory();
    trees.forEach((root, index) => void writeTree(Buffer.from(join(peer.path, `tree${index}`)), root));
    writeFileSync(join(peer.path, "dump.scm"), guileDump(trees.length));
    const paths = peer.run("guile -s dump.scm").trim().split("\n");

    trees.forEach((root, index) => {
      const nar = Buffer.concat([...encodeNar(eventsOf(root))]);
      expect(bytesEqual(nar, readFileSync(join(peer.path, `nar${index}`)))).toBe(true);
      expect(printStorePath(gnu, makeSourcePath(gnu, `tree${index}`, sha256(nar)))).toBe(paths[index]);
    });
  });
});

function guileDump(count: number): string {
  return `
(use-modules (guix serialization) (guix store) (gcrypt hash))
(do ((index 0 (+ index 1))) ((= index ${count}))
  (let ((name (format #f "tree~a" index)) (archive (format #f "nar~a" index)))
    (call-with-output-file archive (lambda (port) (write-file name port)) #:binary #t)
    (format #t "~a~%" (fixed-output-path name (file-sha256 archive) #:recursive? #t))))
`;
}

function writeTree(path: Buffer, root: Tree): void {
  switch (root.kind) {
    case "file":
      writeFileSync(path, root.contents);
      if (root.executable) chmodSync(path, 0o755);
      break;
    case "symlink":
      symlinkSync(Buffer.from(root.target), path);
      break;
    case "directory":
      mkdirSync(path);
      for (const [name, node] of root.entries) writeTree(Buffer.concat([path, Buffer.from("/"), name]), node);
      break;
    default:
      root satisfies never;
  }
}

/** True if all names and targets are UTF-8: Guile reads others in its own way. */
function isText(root: Tree): boolean {
  if (root.kind === "symlink") return findText(root.target) !== undefined;
  return root.kind === "file" || root.entries.every(([name, node]) => findText(name) !== undefined && isText(node));
}
