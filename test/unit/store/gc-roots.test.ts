/** Roots on disk, in Nix's places. */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readlinkSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { bytes } from "../../../derivations/bytes.ts";
import { parseStorePath } from "../../../derivations/store-path.ts";
import { addText } from "../../../store/add.ts";
import { collectGarbage } from "../../../store/gc.ts";
import { addIndirectRoot, addPermanentRoot, autoName, listRoots } from "../../../store/gc-roots.ts";
import { temporaryStore } from "../../support/temporary-store.ts";

test("a permanent root is a link to the logical path; its name can be pointed elsewhere, and be removed by either name", async () => {
  await using temporary = await temporaryStore();
  const { store } = temporary;
  const first = await addText(store, "first", bytes("1"), []);
  const second = await addText(store, "second", bytes("2"), []);
  const place = join(store.layout.rootsDirectory, "mine");
  await addPermanentRoot(store, "mine", first);
  await addPermanentRoot(store, "mine", second);
  expect(readlinkSync(place)).toBe(`/cloister/store/${second}`);
  expect(await listRoots(store)).toEqual([{ kind: "permanent", from: place, path: second, unreadable: false }]);
  await store.roots.remove(place);
  await expect(store.roots.remove("mine")).rejects.toMatchObject({ code: "ROOT_NOT_FOUND" });
});

test("an indirect root lies where Nix puts it, and goes with its link", async () => {
  await using temporary = await temporaryStore();
  const { store } = temporary;
  const path = await addText(store, "a", bytes("a"), []);
  const link = join(temporary.root, "result");
  symlinkSync(store.layout.realPath(path), link);
  await addIndirectRoot(store, link, path);
  // printf %s /home/ada/result | sha1sum, then in Nix's base 32 (nix hash convert --hash-algo sha1 --to nix32)
  expect(autoName("/home/ada/result")).toMatch(/^[0-9a-df-np-sv-z]{32}$/);
  expect(readlinkSync(join(store.layout.rootsDirectory, "auto", autoName(link)))).toBe(link);
  expect(await listRoots(store)).toEqual([{ kind: "indirect", from: link, path, unreadable: false }]);

  rmSync(link);
  expect(await listRoots(store)).toEqual([]);
  await collectGarbage(store, { dryRun: false });
  await expect(store.roots.remove(link)).rejects.toMatchObject({ code: "ROOT_NOT_FOUND" });
});

test("removing an indirect root leaves the user's link", async () => {
  await using temporary = await temporaryStore();
  const { store } = temporary;
  const path = await addText(store, "a", bytes("a"), []);
  const link = join(temporary.root, "result");
  symlinkSync(store.layout.realPath(path), link);
  await addIndirectRoot(store, link, path);
  await store.roots.remove(link);
  expect(await listRoots(store)).toEqual([]);
  expect(readlinkSync(link)).toBe(store.layout.realPath(path));
});

test("names and links that cannot be roots are refused, and so are paths that are not valid", async () => {
  await using temporary = await temporaryStore();
  const { store } = temporary;
  const path = await addText(store, "a", bytes("a"), []);
  for (const name of ["", ".hidden", "a/b", "..", "auto", "profiles", "a b", "x".repeat(201)])
    await expect(addPermanentRoot(store, name, path)).rejects.toMatchObject({ code: "ROOT_NAME_INVALID" });
  for (const link of ["result", "/tmp/../etc/result", "/tmp//result", "/tmp/x\0y"])
    await expect(addIndirectRoot(store, link, path)).rejects.toMatchObject({ code: "ROOT_LINK_INVALID" });
  const missing = parseStorePath("00000000000000000000000000000000-missing");
  await expect(addPermanentRoot(store, "x", missing)).rejects.toMatchObject({ code: "STORE_PATH_NOT_VALID" });
  expect([...store.leases.paths()]).toEqual([]);
  await expect(store.roots.remove("/etc/passwd")).rejects.toMatchObject({ code: "ROOT_NOT_FOUND" });
  await expect(store.roots.remove("../daemon.lock")).rejects.toMatchObject({ code: "ROOT_NOT_FOUND" });
});

/** The process must not be able to read below a 0000 directory: root can, so there a loop of links stands in for it. */
test("a link that cannot be looked at keeps what it was last seen to, and is shown as unreadable", async () => {
  await using temporary = await temporaryStore();
  const { store } = temporary;
  const path = await addText(store, "a", bytes("a"), []);
  const home = mkdtempSync(join(tmpdir(), "cloister-home-"));
  try {
    const link = join(home, "down/result");
    mkdirSync(join(home, "down"));
    symlinkSync(store.layout.realPath(path), link);
    await addIndirectRoot(store, link, path);
    rmSync(join(home, "down"), { recursive: true });
    symlinkSync("down", join(home, "down")); // ELOOP
    expect(await listRoots(store)).toEqual([{ kind: "indirect", from: link, path, unreadable: true }]);
    expect((await collectGarbage(store, { dryRun: false })).alive).toBe(1);
  } finally {
    chmodSync(home, 0o700);
    rmSync(home, { recursive: true });
  }
});

test("where it is not known what an unreadable link keeps, nothing is collected", async () => {
  await using temporary = await temporaryStore();
  const { store } = temporary;
  await addText(store, "a", bytes("a"), []);
  const loop = join(temporary.root, "loop");
  symlinkSync("loop", loop);
  symlinkSync(join(loop, "result"), join(store.layout.rootsDirectory, "auto", autoName("made by another program")));
  await expect(collectGarbage(store, { dryRun: false })).rejects.toMatchObject({ code: "ROOT_UNREADABLE" });
  expect(store.graph.size).toBe(1);
});

test("the name of an indirect root is Nix's", ({ skip }) => {
  const hasNix = tryRun("nix-hash", ["--version"]) !== undefined;
  skip(!hasNix, "needs nix-hash");
  const sha1 = execFileSync("sha1sum", { input: "/home/ada/result" }).toString().split(" ")[0] ?? "";
  expect(autoName("/home/ada/result")).toBe(tryRun("nix-hash", ["--type", "sha1", "--to-base32", sha1])?.trim());
});

function tryRun(program: string, args: readonly string[]): string | undefined {
  try {
    return execFileSync(program, args, { stdio: ["ignore", "pipe", "ignore"] }).toString();
  } catch {
    return undefined;
  }
}
