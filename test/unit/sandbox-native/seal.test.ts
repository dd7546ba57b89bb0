import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  chownSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { encodeNar } from "../../../derivations/nar/encoder.ts";
import { compileNativePrograms, runTreeTool, textOfHex } from "../../support/native-programs.ts";
import { eventsOf, tree } from "../derivations/arbitraries.ts";
import { listEntries, makeTemporaryFolder, writeTree } from "./disk-trees.ts";

const uid = process.getuid?.() ?? 0;
const gid = process.getgid?.() ?? 0;
const isRoot = uid === 0;
const foreignId = 12_345;
const [first, second, third] = ["0", "1", "2"].map((digit) => digit.repeat(32)) as [string, string, string];
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

beforeAll(() => compileNativePrograms("plain"), 300_000);

interface SealOrder {
  readonly outputs?: readonly string[];
  readonly expectedUid?: number;
  readonly owner?: readonly [number, number];
  readonly self?: string;
  readonly extra?: string;
  readonly candidates?: readonly string[];
}

function seal(folder: string, order: SealOrder = {}): Record<string, unknown>[] {
  const [ownerUid, ownerGid] = order.owner ?? [uid, gid];
  const ids = [order.expectedUid ?? uid, ownerUid, ownerGid].map(String);
  const outputs = (order.outputs ?? ["out"]).join(",");
  const rest = [outputs, order.self ?? "-", order.extra ?? "-", ...(order.candidates ?? [])];
  return runTreeTool("plain", ["seal", folder, "out", ...ids, ...rest]);
}

/** Code and place of what was refused. */
function refusal(folder: string, order: SealOrder = {}): [unknown, string] {
  const [result] = seal(folder, order);
  return [result?.["code"], textOfHex(result?.["pathHex"] ?? "")];
}

describe("sealing an output", () => {
  test("tells hash and size of the archive of any tree, and a second time the same", () => {
    fc.assert(
      fc.property(tree, (root) => {
        using folder = makeTemporaryFolder();
        writeTree(Buffer.from(folder.join("out")), root);
        const bytes = Buffer.concat([...encodeNar(eventsOf(root))]);
        const expected = { narHash: sha256(bytes), narSize: String(bytes.length), references: [] };
        expect(seal(folder.path)).toEqual([expected]);
        expect(seal(folder.path)).toEqual([expected]);
      }),
      { numRuns: 40 },
    );
  });

  test("makes all modes and times canonical, whatever the builder left", () => {
    using folder = makeTemporaryFolder();
    mkdirSync(folder.join("out"));
    const modes: [string, number, number][] = [
      ["plain", 0o644, 0o444],
      ["owner-x", 0o700, 0o555],
      ["others-x", 0o655, 0o444],
      ["setuid", 0o6755, 0o555],
      ["unreadable", 0o000, 0o444],
      ["write-only-x", 0o300, 0o555],
    ];
    for (const [name, mode] of modes) {
      writeFileSync(folder.join("out", name), name);
      chmodSync(folder.join("out", name), mode);
    }
    mkdirSync(folder.join("out", "closed", "inner"), { recursive: true });
    writeFileSync(folder.join("out", "closed", "inner", "file"), "");
    symlinkSync("nowhere", folder.join("out", "link"));
    for (const name of ["closed/inner", "closed", "."]) chmodSync(folder.join("out", name), name === "." ? 0o2755 : 0);

    expect(seal(folder.path)[0]).not.toHaveProperty("code");
    for (const [name, , expected] of modes) expect([name, modeOf(folder.join("out", name))]).toEqual([name, expected]);
    for (const [path, status] of listEntries(folder.join("out"))) {
      expect([path, status.mtimeMs]).toEqual([path, 1000]);
      if (status.isDirectory()) expect([path, status.mode & 0o7777]).toEqual([path, 0o555]);
    }
  });

  test("gives everything to the owner, symbolic links too, and clears setuid bits for good", ({ skip }) => {
    skip(!isRoot, "needs root");
    using folder = makeTemporaryFolder();
    mkdirSync(folder.join("out"));
    writeFileSync(folder.join("out", "file"), "");
    chmodSync(folder.join("out", "file"), 0o4755);
    symlinkSync("file", folder.join("out", "link"));
    execFileSync("chown", ["-hR", `${foreignId}:${foreignId}`, folder.join("out")]);
    chmodSync(folder.join("out", "file"), 0o4755);
    expect(seal(folder.path, { expectedUid: foreignId })[0]).not.toHaveProperty("code");
    for (const [path, status] of listEntries(folder.join("out")))
      expect([path, status.uid, status.gid]).toEqual([path, uid, gid]);
    expect(modeOf(folder.join("out", "file"))).toBe(0o555);
  });

  test("finds references in contents, names and targets, and none that are not there", () => {
    using folder = makeTemporaryFolder();
    mkdirSync(folder.join("out"));
    const big = Buffer.alloc(3_000_000, "x");
    big.write(`/${first}-`, 256 * 1024 - 16); // across the border of two reads, wherever these are
    for (let at = 300_000; at < big.length - 40; at += 100_003) big.write(`-${third.slice(0, 31)}x`, at);
    writeFileSync(folder.join("out", "big"), big);
    const candidates = [third, second, first];
    expect(seal(folder.path, { candidates })[0]?.["references"]).toEqual([first]);
    chmodSync(folder.join("out"), 0o755);
    symlinkSync(`../${second}-y`, folder.join("out", "link"));
    expect(seal(folder.path, { candidates })[0]?.["references"]).toEqual([second, first]);
    chmodSync(folder.join("out"), 0o755);
    writeFileSync(folder.join("out", `${third}-name`), "");
    expect(seal(folder.path, { candidates })[0]?.["references"]).toEqual([third, second, first]);
  });

  test("gives a fixed output's hash: flat or of the archive, in each algorithm", () => {
    const contents = Buffer.alloc(700_001, "fixed");
    for (const algorithm of ["md5", "sha1", "sha256", "sha512"]) {
      using folder = makeTemporaryFolder();
      writeFileSync(folder.join("out"), contents);
      const bytes = Buffer.concat([...encodeNar(eventsOf({ kind: "file", executable: false, contents }))]);
      const expected = (data: Uint8Array) => createHash(algorithm).update(data).digest("hex");
      expect(seal(folder.path, { extra: `flat:${algorithm}` })[0]?.["hash"]).toBe(expected(contents));
      expect(seal(folder.path, { extra: `recursive:${algorithm}` })[0]?.["hash"]).toBe(expected(bytes));
    }
  });

  test("gives no flat hash of what is not one plain file", () => {
    using folder = makeTemporaryFolder();
    mkdirSync(folder.join("out"));
    expect(refusal(folder.path, { extra: "flat:sha256" })).toEqual(["TREE_NOT_FLAT", ""]);
    rmSync(folder.join("out"), { recursive: true });
    writeFileSync(folder.join("out"), "");
    chmodSync(folder.join("out"), 0o755);
    expect(refusal(folder.path, { extra: "flat:sha256" })).toEqual(["TREE_NOT_FLAT", ""]);
  });

  test("takes the hash modulo self over the archive with the own hash part blanked, then its positions", () => {
    using folder = makeTemporaryFolder();
    const contents = Buffer.from(`start ${first} and ${first}${second}`);
    writeFileSync(folder.join("out"), contents);
    const bytes = Buffer.concat([...encodeNar(eventsOf({ kind: "file", executable: false, contents }))]);
    const positions: number[] = [];
    for (let at = bytes.indexOf(first); at >= 0; at = bytes.indexOf(first, at + 32)) {
      positions.push(at);
      bytes.fill(0, at, at + 32);
    }
    expect(positions).toHaveLength(2);
    const expected = sha256(Buffer.concat([bytes, Buffer.from(positions.map((at) => `|${at}`).join(""))]));
    expect(seal(folder.path, { self: first })[0]?.["modulo"]).toBe(expected);
  });
});

describe("sealing refuses", () => {
  test("a FIFO, a socket and a device, with the place", ({ skip }) => {
    using folder = makeTemporaryFolder();
    mkdirSync(folder.join("out", "sub"), { recursive: true });
    execFileSync("mkfifo", [folder.join("out", "sub", "fifo")]);
    expect(refusal(folder.path)).toEqual(["OUTPUT_SPECIAL_FILE", "sub/fifo"]);
    rmSync(folder.join("out"), { recursive: true, force: true });
    execFileSync("mkfifo", [folder.join("out")]);
    expect(refusal(folder.path)).toEqual(["OUTPUT_SPECIAL_FILE", ""]);
    rmSync(folder.join("out"));
    execFileSync("python3", [
      "-c",
      "import socket,sys,os;os.chdir(sys.argv[1]);socket.socket(1).bind('out')",
      folder.path,
    ]);
    expect(refusal(folder.path)).toEqual(["OUTPUT_SPECIAL_FILE", ""]);
    rmSync(folder.join("out"));
    const made = spawnSync("mknod", [folder.join("out"), "c", "1", "3"]);
    skip(made.status !== 0, "needs the right to make devices");
    expect(refusal(folder.path)).toEqual(["OUTPUT_SPECIAL_FILE", ""]);
  });

  test("what belongs to another, file, directory or link", ({ skip }) => {
    skip(!isRoot, "needs root");
    using folder = makeTemporaryFolder();
    mkdirSync(folder.join("out", "sub"), { recursive: true });
    chownSync(folder.join("out", "sub"), foreignId, foreignId);
    expect(refusal(folder.path)).toEqual(["OUTPUT_FOREIGN_OWNER", "sub"]);
    chownSync(folder.join("out", "sub"), uid, gid);
    symlinkSync("x", folder.join("out", "link"));
    lchownSync(folder.join("out", "link"), foreignId, foreignId);
    chmodSync(folder.join("out"), 0o755);
    expect(refusal(folder.path)).toEqual(["OUTPUT_FOREIGN_OWNER", "link"]);
  });

  test("a top that its group or others may write to, but nothing below it", () => {
    for (const mode of [0o775, 0o757]) {
      using folder = makeTemporaryFolder();
      mkdirSync(folder.join("out", "sub"), { recursive: true });
      chmodSync(folder.join("out", "sub"), 0o777);
      chmodSync(folder.join("out"), mode);
      expect(refusal(folder.path)).toEqual(["OUTPUT_TOP_WRITABLE", ""]);
      chmodSync(folder.join("out"), 0o755);
      expect(seal(folder.path)[0]).not.toHaveProperty("code");
    }
  });

  test("a tree of 65 levels, and takes one of 64", () => {
    using folder = makeTemporaryFolder();
    mkdirSync(folder.join("out", ...Array<string>(63).fill("d")), { recursive: true });
    expect(seal(folder.path)[0]).not.toHaveProperty("code");
    const deepest = folder.join("out", ...Array<string>(63).fill("d"));
    chmodSync(deepest, 0o755);
    writeFileSync(join(deepest, "file"), "");
    expect(refusal(folder.path)).toEqual(["OUTPUT_TOO_DEEP", [...Array<string>(63).fill("d"), "file"].join("/")]);
  });
});

describe("hard links", () => {
  test("between and within the outputs stay one inode", () => {
    using folder = makeTemporaryFolder();
    for (const output of ["out", "dev"]) mkdirSync(folder.join(output));
    writeFileSync(folder.join("out", "a"), "same");
    linkSync(folder.join("out", "a"), folder.join("out", "b"));
    linkSync(folder.join("out", "a"), folder.join("dev", "c"));
    const results = seal(folder.path, { outputs: ["out", "dev"] });
    for (const result of results) expect(result).not.toHaveProperty("code");
    const inodes = ["out/a", "out/b", "dev/c"].map((path) => statSync(folder.join(path)).ino);
    expect(new Set(inodes).size).toBe(1);
    expect(modeOf(folder.join("dev", "c"))).toBe(0o444);
  });

  test("to something outside the outputs are cut: who holds the other end changes nothing here", () => {
    using folder = makeTemporaryFolder();
    mkdirSync(folder.join("out"));
    writeFileSync(folder.join("outside"), "before");
    chmodSync(folder.join("outside"), 0o755);
    for (const name of ["a", "b"]) linkSync(folder.join("outside"), folder.join("out", name));
    expect(seal(folder.path)[0]).not.toHaveProperty("code");
    writeFileSync(folder.join("outside"), "after!");
    for (const name of ["a", "b"]) {
      expect(readFileSync(folder.join("out", name), "utf8")).toBe("before");
      expect(modeOf(folder.join("out", name))).toBe(0o555);
      expect(statSync(folder.join("out", name)).nlink).toBe(1);
    }
    expect(modeOf(folder.join("outside"))).toBe(0o755);
    expect(readdirSync(folder.join("out")).sort()).toEqual(["a", "b"]);
    expect(statSync(folder.join("out")).mtimeMs).toBe(1000);
  });
});

test("sealing removes extended attributes", ({ skip }) => {
  using folder = makeTemporaryFolder();
  writeFileSync(folder.join("out"), "");
  const python = (code: string) =>
    spawnSync("python3", ["-c", `import os,sys;${code}`, folder.join("out")], { encoding: "utf8" });
  skip(python("os.setxattr(sys.argv[1],'user.note',b'x')").status !== 0, "needs a file system with user attributes");
  expect(seal(folder.path)[0]).not.toHaveProperty("code");
  expect(python("print(os.listxattr(sys.argv[1]))").stdout).toBe("[]\n");
  expect(modeOf(folder.join("out"))).toBe(0o444);
});

function modeOf(path: string): number {
  return lstatSync(path).mode & 0o7777;
}
