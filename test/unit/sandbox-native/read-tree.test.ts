import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  appendFileSync,
  chmodSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { decodeNar } from "../../../derivations/nar/decoder.ts";
import { encodeNar } from "../../../derivations/nar/encoder.ts";
import { listNar } from "../../../derivations/nar/listing.ts";
import { dumpTree, hashTree, listTree, readFileBelow } from "../../../sandbox-native/read-tree.ts";
import { collectBytes } from "../../support/collect.ts";
import { compileNativePrograms, runTreeTool } from "../../support/native-programs.ts";
import { lacksPeers, needsPeers, peersTree, runInPeers } from "../../support/peers.ts";
import { eventsOf, tree } from "../derivations/arbitraries.ts";
import { makeTemporaryFolder, writeTree } from "./disk-trees.ts";

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const refused = (code: string, path: string) => ({ code, details: expect.objectContaining({ path }) as unknown });

describe("dumpTree", () => {
  test("gives the archive that the encoder makes of any tree; hash and listing fit to it", async () => {
    await fc.assert(
      fc.asyncProperty(tree, async (root) => {
        using folder = makeTemporaryFolder();
        writeTree(Buffer.from(folder.join("tree")), root);
        const bytes = Buffer.concat([...encodeNar(eventsOf(root))]);
        expect(Buffer.from(await collectBytes(dumpTree(folder.join("tree"))))).toEqual(bytes);
        const { narHash, narSize } = await hashTree(folder.join("tree"));
        expect([Buffer.from(narHash).toString("hex"), narSize]).toEqual([sha256(bytes), BigInt(bytes.length)]);
        expect(await listTree(folder.join("tree"))).toEqual(listNar(decodeNar([bytes])));
      }),
      { numRuns: 60 },
    );
  });

  /** Sizes around a multiple of 8 and around the piece that is read at once. */
  test("is right wherever a file ends within a piece", async () => {
    const piece = 256 * 1024;
    for (const size of [0, 1, 7, 8, 9, piece - 96, piece - 95, piece - 112, piece, piece + 1, 3 * piece - 40]) {
      using folder = makeTemporaryFolder();
      const contents = Buffer.alloc(size, "0123456789abcdef!");
      writeFileSync(folder.join("file"), contents);
      const expected = Buffer.concat([...encodeNar(eventsOf({ kind: "file", executable: false, contents }))]);
      expect(sha256(await collectBytes(dumpTree(folder.join("file"))))).toBe(sha256(expected));
    }
  });

  test("never follows the top, but what leads to it", async () => {
    using folder = makeTemporaryFolder();
    mkdirSync(folder.join("real"));
    writeFileSync(folder.join("real", "file"), "contents");
    symlinkSync("real", folder.join("link"));
    const linkArchive = Buffer.concat([...encodeNar(eventsOf({ kind: "symlink", target: Buffer.from("real") }))]);
    expect(await collectBytes(dumpTree(folder.join("link")))).toEqual(linkArchive);
    expect(await collectBytes(dumpTree(`${folder.join("link")}/`))).toEqual(linkArchive);
    expect(await collectBytes(dumpTree(folder.join("link", "file")))).toEqual(
      await collectBytes(dumpTree(folder.join("real", "file"))),
    );
    expect(await collectBytes(dumpTree(`${folder.join("link")}/.`))).toEqual(
      await collectBytes(dumpTree(folder.join("real"))),
    );
  });

  test("says where there is a special file, a tree too deep, or nothing", async () => {
    using folder = makeTemporaryFolder();
    mkdirSync(folder.join("tree", "sub"), { recursive: true });
    spawnSync("mkfifo", [folder.join("tree", "sub", "fifo")]);
    await expect(hashTree(folder.join("tree"))).rejects.toMatchObject(refused("TREE_SPECIAL_FILE", "sub/fifo"));
    await expect(collectBytes(dumpTree(folder.join("tree")))).rejects.toMatchObject(
      refused("TREE_SPECIAL_FILE", "sub/fifo"),
    );
    await expect(listTree(folder.join("nothing"))).rejects.toMatchObject({
      code: "TREE_SYSTEM_CALL",
      details: { errnoName: "ENOENT", errno: 2 },
    });
    const levels = Array<string>(64).fill("d");
    mkdirSync(folder.join("deep", ...levels), { recursive: true });
    await expect(hashTree(folder.join("deep"))).rejects.toMatchObject(refused("TREE_TOO_DEEP", levels.join("/")));
  });

  test.each([
    ["grew", (file: string) => appendFileSync(file, "more")],
    ["shrank", (file: string) => truncateSync(file, 100_000)],
  ])("says so when a file %s while it was read", async (_, change) => {
    using folder = makeTemporaryFolder();
    writeFileSync(folder.join("file"), Buffer.alloc(4_000_000));
    const pieces = dumpTree(folder.join("file"));
    await pieces.next();
    change(folder.join("file"));
    await expect(collectBytes(pieces)).rejects.toMatchObject(refused("TREE_CHANGED", ""));
  });

  test("stops when it is aborted", async () => {
    using folder = makeTemporaryFolder();
    writeFileSync(folder.join("file"), Buffer.alloc(4_000_000));
    const controller = new AbortController();
    const pieces = dumpTree(folder.join("file"), { signal: controller.signal });
    await pieces.next();
    controller.abort();
    await expect(pieces.next()).rejects.toMatchObject({ name: "AbortError" });
    await expect(pieces.next()).resolves.toMatchObject({ done: true });
  });

  test("reads no further than it is asked to", async () => {
    using folder = makeTemporaryFolder();
    mkdirSync(folder.join("tree"));
    writeFileSync(folder.join("tree", "a"), Buffer.alloc(1_000_000));
    writeFileSync(folder.join("tree", "b"), "");
    const pieces = dumpTree(folder.join("tree"));
    await pieces.next();
    rmSync(folder.join("tree", "b"));
    await expect(collectBytes(pieces)).rejects.toMatchObject({ details: { errnoName: "ENOENT", path: "b" } });
  });

  /** Goal: our archive of any tree is, byte for byte, the one the reference implementation makes. */
  test("equals nix-store --dump", ({ skip }) => {
    skip(lacksPeers, needsPeers);
    const inside = mkdtempSync(join(peersTree, "tmp/cloister-dump-"));
    try {
      const roots = fc.sample(tree, 40);
      for (const [index, root] of roots.entries()) writeTree(Buffer.from(join(inside, String(index))), root);
      const script = `cd "$1" && for i in $(seq 0 ${roots.length - 1}); do nix-store --dump $i | sha256sum; done`;
      const { stdout, stderr } = runInPeers(["sh", "-c", script, "sh", inside.slice(peersTree.length)]);
      const ours = roots.map((root) => `${sha256(Buffer.concat([...encodeNar(eventsOf(root))]))}  -\n`).join("");
      expect(stdout + stderr).toBe(ours);
      for (const [index] of roots.entries())
        expect(`${runTreeTool("plain", ["hash", inside, String(index)])[0]?.["narHash"]}  -`).toBe(
          stdout.split("\n")[index],
        );
    } finally {
      rmSync(inside, { recursive: true });
    }
  });

  beforeAll(() => compileNativePrograms("plain"), 300_000);
});

describe("readFileBelow", () => {
  test("gives the contents of a file in a tree, or of a tree that is one", async () => {
    using folder = makeTemporaryFolder();
    const contents = Buffer.alloc(600_001, "some bytes");
    mkdirSync(folder.join("tree", "bin"), { recursive: true });
    writeFileSync(folder.join("tree", "bin", "tool"), contents);
    expect(await collectBytes(readFileBelow(folder.join("tree"), "bin/tool"))).toEqual(contents);
    expect(await collectBytes(readFileBelow(folder.join("tree", "bin", "tool"), ""))).toEqual(contents);
  });

  test("goes through no symbolic link and never out of the tree", async () => {
    using folder = makeTemporaryFolder();
    mkdirSync(folder.join("tree", "sub"), { recursive: true });
    writeFileSync(folder.join("secret"), "secret");
    writeFileSync(folder.join("tree", "file"), "");
    symlinkSync("../secret", folder.join("tree", "link"));
    symlinkSync("..", folder.join("tree", "up"));
    symlinkSync("secret", folder.join("top"));
    const refusals = [
      ["link", "ELOOP"],
      ["up/secret", "ELOOP"],
      ["../secret", "EXDEV"],
      ["/etc/passwd", "EXDEV"],
      ["sub/../../secret", "EXDEV"],
      ["nothing", "ENOENT"],
      ["file/x", "ENOTDIR"],
    ];
    for (const [inside, errnoName] of refusals)
      await expect(collectBytes(readFileBelow(folder.join("tree"), inside ?? ""))).rejects.toMatchObject({
        code: "TREE_SYSTEM_CALL",
        details: { errnoName, path: inside },
      });
    await expect(collectBytes(readFileBelow(folder.join("top"), ""))).rejects.toMatchObject({
      details: { errnoName: "ELOOP" },
    });
    await expect(collectBytes(readFileBelow(folder.join("tree"), "sub"))).rejects.toMatchObject(
      refused("TREE_NOT_A_FILE", "sub"),
    );
  });

  test("does not wait for the other end of a FIFO", async () => {
    using folder = makeTemporaryFolder();
    mkdirSync(folder.join("tree"));
    spawnSync("mkfifo", [folder.join("tree", "fifo")]);
    await expect(collectBytes(readFileBelow(folder.join("tree"), "fifo"))).rejects.toMatchObject({
      code: "TREE_NOT_A_FILE",
    });
  });

  test("closes its descriptor when its reader stops early", async () => {
    using folder = makeTemporaryFolder();
    writeFileSync(folder.join("file"), Buffer.alloc(2_000_000));
    const lowest = () => {
      const fd = openSync("/dev/null", "r");
      closeSync(fd);
      return fd;
    };
    const before = lowest();
    for await (const piece of readFileBelow(folder.join("file"), "")) {
      expect(piece.length).toBeGreaterThan(0);
      break;
    }
    expect(lowest()).toBe(before);
  });
});

test("a tree is moved away and read on: the walk holds what it has", async () => {
  using folder = makeTemporaryFolder();
  mkdirSync(folder.join("tree", "sub"), { recursive: true });
  writeFileSync(folder.join("tree", "a"), Buffer.alloc(1_000_000));
  writeFileSync(folder.join("tree", "sub", "b"), "b");
  chmodSync(folder.join("tree", "sub", "b"), 0o755);
  const expected = sha256(await collectBytes(dumpTree(folder.join("tree"))));
  const pieces = dumpTree(folder.join("tree"));
  const first = await pieces.next();
  renameSync(folder.join("tree"), folder.join("elsewhere"));
  symlinkSync("/", folder.join("tree"));
  const rest = await collectBytes(pieces);
  expect(sha256(Buffer.concat([first.value as Uint8Array, rest]))).toBe(expected);
});
