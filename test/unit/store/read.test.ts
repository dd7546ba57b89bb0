/** What goes out: archives, listings, single files; and what is said of paths that are not there or damaged. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { bytes } from "../../../derivations/bytes.ts";
import { parseStoreDirectory, parseStorePath } from "../../../derivations/store-path.ts";
import { addSource } from "../../../store/add.ts";
import { makeDirectories } from "../../../store/directories.ts";
import { readFile, readListing, readNar } from "../../../store/read.ts";
import { collect } from "../../support/collect.ts";
import { inPieces, nar, temporaryStore } from "../../support/temporary-store.ts";

const source = { kind: "source", references: [] } as const;
const tree = nar([
  { kind: "directory" },
  { kind: "entry", name: bytes("dir") },
  { kind: "directory" },
  { kind: "entry", name: bytes("hello") },
  { kind: "file", executable: true, size: 5n },
  { kind: "contents", bytes: bytes("hello") },
  { kind: "end" },
  { kind: "entry", name: bytes("link") },
  { kind: "symlink", target: bytes("/etc/passwd") },
  { kind: "end" },
]);

test("a listing has what the archive has, and a file its bytes", async () => {
  await using temporary = await temporaryStore();
  const { store } = temporary;
  const { path } = await addSource(store, "tree", source, inPieces(tree));
  expect(await readListing(store, path)).toMatchObject({
    type: "directory",
    entries: {
      dir: { type: "directory", entries: { hello: { type: "regular", size: 5, executable: true } } },
      link: { type: "symlink", target: "/etc/passwd" },
    },
  });
  expect(Buffer.concat(await collect(readFile(store, path, "dir/hello"))).toString()).toBe("hello");
  expect([...store.leases.paths()]).toEqual([]);
});

test("no file is read through a symlink, or from outside of the path", async () => {
  await using temporary = await temporaryStore();
  const { store } = temporary;
  const { path } = await addSource(store, "tree", source, inPieces(tree));
  for (const inside of ["link", "dir", "", "none", "../../../../../../etc/passwd", "/etc/passwd", "dir/../../x"])
    await expect(collect(readFile(store, path, inside))).rejects.toMatchObject({ code: "STORE_FILE_NOT_FOUND" });
});

test("what is not found is told by what is there", async () => {
  await using temporary = await temporaryStore();
  const { store } = temporary;
  const { path } = await addSource(store, "tree", source, inPieces(tree));
  const reasonOf = async (inside: string) => {
    const error: unknown = await collect(readFile(store, path, inside)).catch((thrown: unknown) => thrown);
    return (error as { details: { reason: string } }).details.reason;
  };
  expect(await reasonOf("none")).toBe("there is no none in it, which holds dir, link");
  expect(await reasonOf("dir/none/more")).toBe("there is no none in dir, which holds hello");
  expect(await reasonOf("dir")).toBe("dir is a directory, which holds hello");
  expect(await reasonOf("dir/hello/more")).toBe("dir/hello is a file");
  expect(await reasonOf("link/more")).toBe("link is a symbolic link to /etc/passwd, which is not followed");
});

test("a path that is not valid and one whose files are gone have codes of their own", async () => {
  await using temporary = await temporaryStore();
  const { store } = temporary;
  const missing = parseStorePath("00000000000000000000000000000000-missing");
  await expect(collect(readNar(store, missing))).rejects.toMatchObject({ code: "STORE_PATH_NOT_VALID" });
  await expect(readListing(store, missing)).rejects.toMatchObject({ code: "STORE_PATH_NOT_VALID" });
  await expect(collect(readFile(store, missing, ""))).rejects.toMatchObject({ code: "STORE_PATH_NOT_VALID" });

  const { path } = await addSource(store, "tree", source, inPieces(tree));
  await store.writer.remove([path]);
  await expect(collect(readNar(store, path))).rejects.toMatchObject({ code: "STORE_PATH_DAMAGED" });
  await expect(readListing(store, path)).rejects.toMatchObject({ code: "STORE_PATH_DAMAGED" });
  expect([...store.leases.paths()]).toEqual([]);
});

test("a reader who leaves gives back what he held", async () => {
  await using temporary = await temporaryStore();
  const { store } = temporary;
  const { path } = await addSource(store, "tree", source, inPieces(tree));
  for await (const _ of readNar(store, path)) {
    expect(store.leases.isHeld(path)).toBe(true);
    break;
  }
  expect(store.leases.isHeld(path)).toBe(false);
});

test("a place where no store can be made says which directory", () => {
  const root = mkdtempSync(join(tmpdir(), "cloister-place-"));
  try {
    writeFileSync(join(root, "cloister"), "a file where a directory should be");
    const make = () => makeDirectories({ storeDirectory: parseStoreDirectory("/cloister/store"), root });
    expect(make).toThrow(
      expect.objectContaining({
        code: "STORE_NOT_WRITABLE",
        details: expect.objectContaining({ directory: join(root, "cloister/store") }),
      }),
    );
  } finally {
    rmSync(root, { recursive: true });
  }
});
