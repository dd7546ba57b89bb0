/**
 * Goal: a .drv that nix wrote builds here to the same paths and contents as nix builds it to, also where paths follow from
 * contents: references between outputs, and what depends on such outputs.
 * Method: nix evaluates and builds; its .drv files are added here byte for byte and built again.
 */
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openLocal } from "../../daemon/server/local-service.ts";
import { parseDerivation } from "../../derivations/aterm.ts";
import { referencesOf } from "../../derivations/derivation.ts";
import { printHash } from "../../derivations/hash.ts";
import {
  parseFullStorePath,
  parseStoreDirectory,
  printStorePath,
  type StorePath,
} from "../../derivations/store-path.ts";
import { busyboxFile, busyboxTree, missingBusybox } from "../support/busybox.ts";
import { options } from "../support/local-builds.ts";
import { makeRemovable } from "../support/temporary-store.ts";
import { missingPeers, PeerDirectory } from "./derivations-peers.ts";

const nix = parseStoreDirectory("/nix/store");

/**
 * No floating output here refers to itself: nix 2.17 to 2.34 left the places of such references out of the hash by
 * mistake (NixOS/nix#15837), and those paths are not ours.
 */
const definitions = `
let
  busybox = builtins.path { name = "busybox"; path = ./busybox; };
  build = attributes: script: derivation ({
    system = builtins.currentSystem; builder = "\${busybox}/bin/busybox"; args = [ "sh" "-ec" script ];
  } // attributes);
  floating = { __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256"; };
in rec {
  none = build (floating // { name = "none"; }) "echo 1 > $out";
  tree = build (floating // { name = "tree"; }) ''
    mkdir -p $out/bin; echo 1 > $out/bin/x; chmod +x $out/bin/x; ln -s bin/x $out/y; printf "no end" > $out/z'';
  two = build (floating // { name = "two"; outputs = [ "out" "lib" ]; }) "echo 1 > $lib; mkdir $out; ln -s $lib $out/lib";
  flat = build (floating // { name = "flat"; outputHashMode = "flat"; }) "echo 1 > $out";
  sha512 = build (floating // { name = "sha512"; outputHashAlgo = "sha512"; }) "mkdir $out; echo 1 > $out/x";
  text = build (floating // { name = "text"; outputHashMode = "text"; inherit tree; }) "echo text of $tree > $out";
  user = build { name = "user"; inherit tree; lib = two.lib; } "cat $tree/bin/x > $out; echo $lib $out >> $out";
  floatingUser = build (floating // { name = "floating-user"; inherit user two; }) "echo $user $two > $out";
  addressed = build { name = "addressed"; outputs = [ "out" "dev" ]; inherit none; } "cat $none > $out; echo $out > $dev";
  structured = build {
    name = "structured"; __structuredAttrs = true; inherit tree; outputs = [ "out" "dev" ];
    words = [ "a" "b'c" 1 true ]; half = 1.5; whole = 2.0; object = { key = true; "k y" = "v"; };
    nested.list = [ [ 1 ] ]; nested.big = 1152921504606846977; nothing = null; no = false; exportReferencesGraph.graph = [ two ];
  } "cat $NIX_ATTRS_JSON_FILE $NIX_ATTRS_SH_FILE > \${placeholder "out"}; echo 1 > \${placeholder "dev"}";
  graph = build { name = "graph"; exportReferencesGraph = [ "closure" tree "other" two.out ]; } "cat closure other > $out";
  asFile = build { name = "as-file"; passAsFile = [ "big" ]; big = "a\nb"; } "cat $bigPath > $out; env | grep -c '^big=' >> $out || true";
}`;

test("what nix builds comes out here at the same paths, with the same contents", async ({ skip }) => {
  skip(missingPeers !== undefined, missingPeers);
  skip(missingBusybox, "needs a static busybox (busybox-static)");
  const root = mkdtempSync(join(tmpdir(), "cloister-oracle-"));
  try {
    using peer = new PeerDirectory();
    mkdirSync(join(peer.path, "busybox/bin"), { recursive: true });
    copyFileSync(busyboxFile ?? "", join(peer.path, "busybox/bin/busybox"));
    writeFileSync(join(peer.path, "all.nix"), definitions);
    const printed = peer.run(`
      mount -t tmpfs tmpfs /nix; mkdir -p /nix/store
      export NIX_CONFIG="$NIX_CONFIG dynamic-derivations
        sandbox = false
        build-users-group =
        substituters ="
      nix build --store local --no-link --json -f all.nix $(sed -n 's/^  \\([a-zA-Z0-9]*\\) = build .*/\\1^*/p' all.nix)
      mkdir drvs; cp /nix/store/*.drv drvs
      for path in $(ls -d /nix/store/*-* | grep -v '[.]drv$'); do
        echo $path $(nix-store --store local --query --hash $path) $(nix-store --store local --query --references $path)
      done > infos`);
    const theirs = JSON.parse(printed) as { drvPath: string; outputs: Record<string, string> }[];

    await using service = await openLocal({ root, storeDirectory: nix });
    await service.addSource("busybox", { kind: "source", references: [] }, busyboxTree());
    const drvPaths = theirs.map(({ drvPath }) => parseFullStorePath(nix, drvPath));
    for (const drvPath of drvPaths) await add(drvPath);
    const results = await service.build(
      drvPaths.map((drvPath) => ({ kind: "built", drvPath, outputs: "all" }) as const),
      { ...options, keepGoing: true },
    );
    const infos = readInfos(readFileSync(join(peer.path, "infos"), "utf8"));
    for (const [index, { drvPath, outputs }] of theirs.entries()) {
      const result = results[index];
      expect.soft(result?.error, drvPath).toBeUndefined();
      const ours = Object.entries(result?.outputs ?? {}).map(([id, path]) => [id, printStorePath(nix, path)]);
      expect.soft(Object.fromEntries(ours), drvPath).toEqual(outputs);
      for (const path of Object.values(result?.outputs ?? {})) {
        const info = await service.queryPathInfo(path);
        const references = [...(info?.references ?? [])].sort().map((reference) => printStorePath(nix, reference));
        expect
          .soft({ hash: info && printHash(info.narHash, "base32"), references }, path)
          .toEqual(infos.get(printStorePath(nix, path)));
      }
    }

    /** With its inputs before it; those that nix made by resolving others are not asked for. */
    async function add(path: StorePath): Promise<void> {
      if ((await service.queryValidPaths([path])).length > 0) return;
      const contents = readFileSync(join(peer.path, "drvs", path));
      const name = path.slice(33);
      const derivation = parseDerivation(nix, name.slice(0, -4), contents);
      for (const input of derivation.inputDerivations.keys()) await add(input);
      expect(await service.addText(name, contents, referencesOf(derivation))).toBe(path);
    }
  } finally {
    await makeRemovable(root);
    rmSync(root, { recursive: true, force: true });
  }
});

/** By path: its hash, and what it refers to. */
function readInfos(lines: string) {
  return new Map(
    lines
      .trim()
      .split("\n")
      .map((line) => {
        const [path = "", hash, ...references] = line.split(" ");
        return [path, { hash, references: references.sort() }] as const;
      }),
  );
}
