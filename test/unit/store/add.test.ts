/** What comes in: archives and texts, and all that is refused. Every refusal has its code and leaves no trace. */
import { lstatSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { bytes } from "../../../derivations/bytes.ts";
import { makeFixedOutputPath, makeTextPath, printContentAddress } from "../../../derivations/content-address.ts";
import { hashBytes, hashesEqual, printHash, sha256 } from "../../../derivations/hash.ts";
import type { PathInfo } from "../../../derivations/path-info.ts";
import { parseStorePath } from "../../../derivations/store-path.ts";
import { type ArchiveInfo, addSource, addText, addToStore } from "../../../store/add.ts";
import { readNar } from "../../../store/read.ts";
import { collect } from "../../support/collect.ts";
import { directoryNar, fileNar, inPieces, nar, storeDirectory, temporaryStore } from "../../support/temporary-store.ts";

const missingPath = parseStorePath("00000000000000000000000000000000-missing");
const source = { kind: "source", references: [] } as const;

describe("an archive", () => {
  test("gets the path of its contents, is canonical on disk, and comes back byte for byte", async () => {
    await using temporary = await temporaryStore();
    const { store } = temporary;
    const archive = directoryNar({ a: "one", b: "x".repeat(5000), c: "" });
    const info = await addSource(store, "tree", source, inPieces(archive, 7));

    expect(hashesEqual(info.narHash, sha256(archive))).toBe(true);
    expect(info.narSize).toBe(BigInt(archive.length));
    expect(plain(store.findPathInfo(info.path))).toEqual(plain(info));
    expect(store.findByHashPart(info.path.slice(0, 32))).toBe(info.path);
    const { mtimeMs, mode } = lstatSync(`${store.layout.realPath(info.path)}/a`);
    expect([mtimeMs, mode & 0o7777]).toEqual([1000, 0o444]);
    const read = await collect(readNar(store, info.path));
    expect(Buffer.concat(read)).toEqual(Buffer.from(archive));
  });

  test("that is there already is read to its end and left as it is", async () => {
    await using temporary = await temporaryStore();
    const { store } = temporary;
    const info = await addSource(store, "file", source, inPieces(fileNar("hello")));
    let bytesRead = 0;
    const again = async function* () {
      for await (const piece of inPieces(fileNar("hello"), 10)) {
        bytesRead += piece.length;
        yield piece;
      }
    };
    expect(plain(await addToStore(store, info, again()))).toEqual(plain(info));
    expect(bytesRead).toBe(fileNar("hello").length);
    expect(temporary.leftInStaging()).toEqual([]);
  });

  test("of all fixed kinds is checked against its hash", async () => {
    await using temporary = await temporaryStore();
    const { store } = temporary;
    for (const algorithm of ["md5", "sha1", "sha256", "sha512"] as const)
      for (const method of ["flat", "recursive"] as const) {
        const archive = fileNar(`${algorithm} ${method}`);
        const hash = hashBytes(algorithm, method === "flat" ? `${algorithm} ${method}` : archive);
        const address = { method, hash };
        const info = await addSource(store, "fixed", { kind: "fixed", address, references: [] }, inPieces(archive, 3));
        expect(info.path).toBe(makeFixedOutputPath(storeDirectory, "fixed", address));
        expect(plain(store.findPathInfo(info.path)).contentAddress).toBe(printContentAddress(address));

        const other = addSource(store, "fixed", { kind: "fixed", address, references: [] }, inPieces(fileNar("other")));
        await expect(other).rejects.toMatchObject({ code: "STORE_CONTENT_HASH_MISMATCH" });
      }
    expect(temporary.leftInStaging()).toEqual([]);
  });

  test("is held for its owner until that releases it, and not at all where it was refused", async () => {
    await using temporary = await temporaryStore();
    const { store } = temporary;
    const { path } = await addSource(store, "file", source, inPieces(fileNar("a")), { leaseOwner: "connection 1" });
    expect(store.leases.isHeld(path)).toBe(true);
    const refused = addSource(store, "file", source, inPieces(fileNar("b").subarray(0, 50)), {
      leaseOwner: "connection 1",
    });
    await expect(refused).rejects.toThrow();
    store.leases.release("connection 1");
    expect([...store.leases.paths()]).toEqual([]);
  });
});

describe("what is refused", () => {
  const flat = { method: "flat", hash: hashBytes("sha256", "hello") } as const;
  const cases: Record<string, { code: string; archive: Uint8Array; info?: Partial<ArchiveInfo>; mustProve?: boolean }> =
    {
      "an archive cut short": { code: "NAR_TRUNCATED", archive: fileNar("hello").subarray(0, -8) },
      "an empty archive": { code: "NAR_TRUNCATED", archive: new Uint8Array() },
      "bytes after the archive": {
        code: "NAR_TRAILING_BYTES",
        archive: Buffer.concat([fileNar("hello"), Buffer.alloc(8)]),
      },
      "an archive with another hash": { code: "STORE_NAR_HASH_MISMATCH", archive: fileNar("hallo") },
      "an archive of another size": {
        code: "STORE_NAR_SIZE_MISMATCH",
        archive: fileNar("hello"),
        info: { narSize: 7n },
      },
      "a reference that is not valid": {
        code: "STORE_REFERENCE_NOT_VALID",
        archive: fileNar("hello"),
        info: { references: new Set([missingPath]) },
      },
      "a path that is not that of its contents": {
        code: "STORE_PATH_MISMATCH",
        archive: fileNar("hello"),
        info: { contentAddress: flat },
      },
      "an input-addressed path of someone who is not trusted": {
        code: "STORE_PATH_UNPROVEN",
        archive: fileNar("hello"),
        mustProve: true,
      },
      "a flat address of a directory": {
        code: "STORE_CONTENT_NOT_FLAT",
        archive: directoryNar({ a: "hello" }),
        info: {
          path: makeFixedOutputPath(storeDirectory, "x", flat),
          contentAddress: flat,
          narHash: sha256(directoryNar({ a: "hello" })),
        },
      },
      "a flat address of an executable": {
        code: "STORE_CONTENT_NOT_FLAT",
        archive: fileNar("hello", { executable: true }),
        info: {
          path: makeFixedOutputPath(storeDirectory, "x", flat),
          contentAddress: flat,
          narHash: sha256(fileNar("hello", { executable: true })),
        },
      },
    };
  for (const [name, { code, archive, info, mustProve }] of Object.entries(cases))
    test(`${name} gives ${code} and leaves no trace`, async () => {
      await using temporary = await temporaryStore();
      const { store } = temporary;
      const promised: ArchiveInfo = {
        path: parseStorePath("11111111111111111111111111111111-x"),
        narHash: sha256(fileNar("hello")),
        references: new Set(),
        ultimate: false,
        signatures: [],
        ...info,
      };
      const adding = addToStore(store, promised, inPieces(archive), { mustProve: mustProve === true });
      await expect(adding).rejects.toMatchObject({ code });
      expect(temporary.leftInStaging()).toEqual([]);
      expect(temporary.onDisk()).toEqual([]);
      expect(store.graph.size).toBe(0);
      expect(store.locks.isLocked(promised.path)).toBe(false);
      expect([...store.leases.paths()]).toEqual([]);
    });

  test("a sender who goes away, and one who is cancelled, leave no trace", async () => {
    await using temporary = await temporaryStore();
    const { store } = temporary;
    const gone = async function* () {
      yield fileNar("hello").subarray(0, 60);
      throw new Error("connection lost");
    };
    await expect(addSource(store, "x", source, gone())).rejects.toThrow("connection lost");

    const controller = new AbortController();
    const slow = async function* () {
      yield fileNar("hello").subarray(0, 60);
      controller.abort();
      yield fileNar("hello").subarray(60);
    };
    await expect(addSource(store, "x", source, slow(), { signal: controller.signal })).rejects.toThrow();
    expect(temporary.leftInStaging()).toEqual([]);
    expect(temporary.onDisk()).toEqual([]);
  });

  test("a path outside of its name's rules is refused before anything is read", async () => {
    await using temporary = await temporaryStore();
    const untouched = async function* (): AsyncGenerator<Uint8Array> {
      yield await Promise.reject(new Error("was read"));
    };
    for (const name of ["", "a/b", "..", "a b", "x".repeat(300)])
      await expect(addSource(temporary.store, name, source, untouched())).rejects.toMatchObject({
        code: "STORE_PATH_NAME_INVALID",
      });
  });

  test("what the sender alone says of a proven path is not kept", async () => {
    await using temporary = await temporaryStore();
    const { store } = temporary;
    const contentAddress = { method: "recursive", hash: sha256(fileNar("hello")) } as const;
    const info: ArchiveInfo = {
      path: makeFixedOutputPath(storeDirectory, "x", contentAddress),
      references: new Set(),
      ultimate: true,
      signatures: ["evil:AAAA"],
      deriver: parseStorePath("22222222222222222222222222222222-x.drv"),
      contentAddress,
    };
    await addToStore(store, info, inPieces(fileNar("hello")), { mustProve: true });
    const kept = store.findPathInfo(info.path);
    expect([kept?.ultimate, kept?.signatures, kept?.deriver]).toEqual([false, [], undefined]);
  });
});

test("two who add the same at once both get it, and it is written once", async () => {
  await using temporary = await temporaryStore();
  const { store } = temporary;
  const adding = Array.from({ length: 8 }, () => addSource(store, "same", source, inPieces(fileNar("same"))));
  const paths = new Set((await Promise.all(adding)).map((info) => info.path));
  expect(paths.size).toBe(1);
  expect(temporary.onDisk()).toEqual([...paths]);
  expect(temporary.leftInStaging()).toEqual([]);
});

describe("a text", () => {
  test("is a file with these bytes under the text path, with its references", async () => {
    await using temporary = await temporaryStore();
    const { store } = temporary;
    const first = await addText(store, "first", bytes("one"), []);
    const second = await addText(store, "second", bytes("two"), [first]);
    expect(second).toBe(makeTextPath(storeDirectory, "second", bytes("two"), [first]));
    expect(readFileSync(store.layout.realPath(second), "utf8")).toBe("two");
    expect(store.graph.references(second)).toEqual([first]);
    expect(plain(store.findPathInfo(second)).narHash).toBe(printHash(sha256(fileNar("two")), "base16"));
    await expect(addText(store, "third", bytes("three"), [missingPath])).rejects.toMatchObject({
      code: "STORE_REFERENCE_NOT_VALID",
    });
    expect(temporary.onDisk()).toEqual([first, second].sort());
  });
});

/** Digests as text: one Uint8Array is not equal to a Buffer with the same bytes. */
function plain(info: PathInfo | undefined) {
  const address = info?.contentAddress;
  return {
    ...info,
    narHash: info && printHash(info.narHash, "base16"),
    contentAddress: address && printContentAddress(address),
  };
}

test("an archive of a symlink is a symlink that is not followed", async () => {
  await using temporary = await temporaryStore();
  const { store } = temporary;
  const archive = nar([{ kind: "symlink", target: bytes("/etc/passwd") }]);
  const { path } = await addSource(store, "link", source, inPieces(archive));
  expect(lstatSync(store.layout.realPath(path)).isSymbolicLink()).toBe(true);
  expect(Buffer.concat(await collect(readNar(store, path)))).toEqual(archive);
});
