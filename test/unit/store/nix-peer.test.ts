/** The real nix opens and checks a store that we made, and we open one that it made. */
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { bytes } from "../../../derivations/bytes.ts";
import { parseFullStorePath, parseStoreDirectory } from "../../../derivations/store-path.ts";
import { addSource, addText } from "../../../store/add.ts";
import { collectGarbage } from "../../../store/gc.ts";
import { addPermanentRoot } from "../../../store/gc-roots.ts";
import { readNar } from "../../../store/read.ts";
import { collect } from "../../support/collect.ts";
import { lacksPeers, needsPeers, peersTree, runInPeers } from "../../support/peers.ts";
import { directoryNar, inPieces, TemporaryStore } from "../../support/temporary-store.ts";

const directory = parseStoreDirectory("/nix/store");
const nixState = { storeDirectory: directory, stateDirectory: "/nix/var/nix" };

/** Below the peers' root, so that nix, whose root that is, can use it as the root of a store. */
const makeRoot = () => mkdtempSync(join(peersTree, "tmp/cloister-store-"));

function nixStore(root: string, ...args: string[]): string {
  const ran = runInPeers(["nix-store", "--store", root.slice(peersTree.length), ...args]);
  if (ran.status !== 0) throw new Error(ran.stderr);
  return ran.stdout.trim();
}

test("nix finds our store whole, with references and roots as we have them", async ({ skip }) => {
  skip(lacksPeers, needsPeers);
  await using temporary = new TemporaryStore(makeRoot());
  const store = await temporary.open(nixState);
  const source = { kind: "source", references: [] } as const;
  const tree = (await addSource(store, "tree", source, inPieces(directoryNar({ a: "1", b: "" })))).path;
  const text = await addText(store, "text", bytes("hello\n"), [tree]);
  const dead = await addText(store, "dead", bytes("dead\n"), [text]);
  await addPermanentRoot(store, "mine", text);
  await temporary.close();

  nixStore(temporary.root, "--verify", "--check-contents");
  expect(nixStore(temporary.root, "-q", "--references", `/nix/store/${text}`)).toBe(`/nix/store/${tree}`);
  expect(nixStore(temporary.root, "--gc", "--print-dead")).toBe(`/nix/store/${dead}`);
  nixStore(temporary.root, "--gc");

  const again = await temporary.open(nixState);
  expect(new Set(again.graph.paths())).toEqual(new Set([tree, text]));
});

test("we read, extend and collect a store that nix made, and nix finds it whole afterwards", async ({ skip }) => {
  skip(lacksPeers, needsPeers);
  await using temporary = new TemporaryStore(makeRoot());
  writeFileSync(join(temporary.root, "hello.txt"), "hello from nix\n");
  const inside = join(temporary.root.slice(peersTree.length), "hello.txt");
  const path = parseFullStorePath(directory, nixStore(temporary.root, "--add", inside));

  const store = await temporary.open(nixState);
  expect([...store.graph.paths()]).toEqual([path]);
  expect(readFileSync(store.layout.realPath(path), "utf8")).toBe("hello from nix\n");
  const archive = Buffer.concat(await collect(readNar(store, path)));
  expect(BigInt(archive.length)).toBe(store.findPathInfo(path)?.narSize);
  const source = { kind: "source", references: [] } as const;
  const same = await addSource(store, "hello.txt", source, inPieces(archive));
  expect(same.path).toBe(path);

  const ours = await addText(store, "ours", bytes("ours\n"), [path]);
  await addPermanentRoot(store, "ours", ours);
  await addText(store, "dead", bytes("dead\n"), [ours]);
  expect((await collectGarbage(store, { dryRun: false })).alive).toBe(2);
  await temporary.close();
  nixStore(temporary.root, "--verify", "--check-contents");
});
