/** The orders about trees, and the launcher's start and end. */
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startLauncher } from "../../../sandbox-native/launcher.ts";
import { dumpTree } from "../../../sandbox-native/read-tree.ts";
import { collectBytes } from "../../support/collect.ts";
import { strengthsToTest } from "../../support/granted-strengths.ts";
import { mountSmall } from "../../support/small-disk.ts";
import { encodeNar } from "../../support/small-nar.ts";
import {
  makeTemporaryFolders,
  makeTemporaryLauncher,
  out,
  shellSpec,
  storeName,
  type TemporaryLauncher,
} from "../../support/temporary-launcher.ts";

const [granted] = (await strengthsToTest()).filter(({ missing }) => missing === "");
const missing = granted === undefined ? "needs a machine that grants some strength" : "";

async function* pieces(bytes: Uint8Array, size = 1000): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += size) yield bytes.subarray(start, start + size);
}

describe("orders about trees", () => {
  let here: TemporaryLauncher;
  beforeAll(async () => {
    if (granted !== undefined) here = await makeTemporaryLauncher({ strength: granted.strength });
  });
  afterAll(() => here?.[Symbol.asyncDispose]());

  test("an archive is restored, moved into the store, read back and removed", async ({ skip }) => {
    skip(missing !== "", missing);
    const archive = encodeNar({
      file: Buffer.alloc(3_000_000, "abc"),
      "sub/script": { executable: "#!/bin/sh\n" },
      "sub/link": { target: "../file" },
    });
    const restored = await here.launcher.restore(pieces(archive, 70_000));
    expect(restored.narSize).toBe(BigInt(archive.length));
    const name = storeName("1", "tree");
    await here.launcher.move([{ from: restored.stagingName, to: name }]);
    expect(await collectBytes(dumpTree(join(here.store, name)))).toEqual(archive);
    expect(statSync(join(here.store, name, "sub/script")).mode & 0o7777).toBe(0o555);
    const removed = await here.launcher.remove([name, storeName("2", "never-was")]);
    expect(removed.missing).toEqual([storeName("2", "never-was")]);
    expect(removed.freedBytes).toBeGreaterThan(2_900_000n);
    expect(existsSync(join(here.store, name))).toBe(false);
  });

  const damaged: [string, (archive: Buffer) => Uint8Array, string][] = [
    ["cut short", (archive) => archive.subarray(0, archive.length - 20), "NAR_TRUNCATED"],
    ["with more after it", (archive) => Buffer.concat([archive, Buffer.from("more")]), "NAR_TRAILING_BYTES"],
    ["of something else", () => Buffer.from("this is no archive at all, but long enough to be looked at"), "NAR_"],
    ["of no bytes", () => new Uint8Array(), "NAR_TRUNCATED"],
  ];
  test.for(damaged)("an archive %s is refused, and nothing of it stays", async ([, damage, code], { skip }) => {
    skip(missing !== "", missing);
    const before = readdirSync(here.staging).filter((name) => name.startsWith("restored"));
    const archive = encodeNar({ file: "contents", other: "x" });
    const error = await here.launcher.restore(pieces(damage(archive))).catch((thrown: unknown) => thrown);
    expect((error as { code: string }).code).toMatch(new RegExp(`^${code}`));
    expect(readdirSync(here.staging).filter((name) => name.startsWith("restored"))).toEqual(before);
  });

  test("a source that fails, or is aborted, fails the restoring with its own reason", async ({ skip }) => {
    skip(missing !== "", missing);
    const archive = encodeNar({ file: Buffer.alloc(100_000) });
    async function* failing() {
      yield archive.subarray(0, 50_000);
      throw new Error("the sender is gone");
    }
    await expect(here.launcher.restore(failing())).rejects.toThrow("the sender is gone");
    const abort = new AbortController();
    async function* hanging() {
      yield archive.subarray(0, 50_000);
      abort.abort(new Error("no longer wanted"));
      await new Promise(() => undefined);
    }
    await expect(here.launcher.restore(hanging(), { signal: abort.signal })).rejects.toThrow("no longer wanted");
    expect(readdirSync(here.staging).filter((name) => name.startsWith("restored"))).toEqual([]);
  });

  test("an archive that is refused early does not wait for the rest of it", async ({ skip }) => {
    skip(missing !== "", missing);
    let returned = false;
    async function* endless() {
      try {
        for (;;) yield Buffer.alloc(100_000, "not an archive");
      } finally {
        returned = true;
      }
    }
    await expect(here.launcher.restore(endless())).rejects.toMatchObject({ code: "NAR_TOKEN_UNEXPECTED" });
    await expect.poll(() => returned).toBe(true);
  });

  test("a text is a plain file in the store", async ({ skip }) => {
    skip(missing !== "", missing);
    const name = storeName("3", "text");
    const { narSize } = await here.launcher.writeText(name, Buffer.from("a text"));
    expect(narSize).toBe(120n);
    expect(readFileSync(join(here.store, name), "utf8")).toBe("a text");
    expect(statSync(join(here.store, name)).mode & 0o7777).toBe(0o444);
    const big = Buffer.alloc(1_000_000, "x"); // does not go through a packet
    await here.launcher.writeText(storeName("4", "big"), big);
    expect(readFileSync(join(here.store, storeName("4", "big")))).toEqual(big);
  });

  test("what lies at a destination goes to the trash and is removed", async ({ skip }) => {
    skip(missing !== "", missing);
    const name = storeName("5", "there-already");
    mkdirSync(join(here.store, name, "unfinished"), { recursive: true });
    await here.launcher.writeText(name, Buffer.from("new"));
    expect(readFileSync(join(here.store, name), "utf8")).toBe("new");
    await expect.poll(() => readdirSync(join(here.folder, "trash"))).toEqual([]);
  });

  test("no order reaches outside of the held directories", async ({ skip }) => {
    skip(missing !== "", missing);
    writeFileSync(join(here.folder, "outside"), "outside");
    for (const name of ["../outside", "..", ".", "", "a/../../outside", "a\0b"]) {
      await expect(here.launcher.writeText(name, Buffer.from("x"))).rejects.toMatchObject({
        code: "LAUNCHER_ORDER_INVALID",
      });
      await expect(here.launcher.remove([name])).rejects.toMatchObject({ code: "LAUNCHER_ORDER_INVALID" });
      await expect(here.launcher.move([{ from: name, to: storeName("6", "x") }])).rejects.toMatchObject({
        details: { errnoName: "EINVAL" },
      });
      await here.launcher.discard([name], [name]);
    }
    expect(readFileSync(join(here.folder, "outside"), "utf8")).toBe("outside");
    expect(lstatSync(here.store).isDirectory()).toBe(true);
  });

  test("an output that names itself is rewritten to its final name", async ({ skip }) => {
    skip(missing !== "", missing);
    const { answer } = await here.run(shellSpec("mkdir $out; echo $out > $out/self; ln -s $out/self $out/link"), {
      candidates: ["0".repeat(32)],
      outputs: [{ name: out, moduloSelf: true }],
    });
    const [output] = answer.outputs;
    if (output?.kind !== "sealed") throw new Error("not sealed");
    expect(output.moduloSelfHash).toHaveLength(32);
    const final = "1".repeat(32);
    const rewritten = await here.launcher.rewrite({
      stagingName: output.stagingName,
      pairs: [{ from: "0".repeat(32), to: final }],
      candidates: ["0".repeat(32), final],
      selfHashPart: final,
    });
    expect(rewritten.references).toEqual([final]);
    expect(rewritten.moduloSelfHash).toEqual(output.moduloSelfHash);
    const name = `${final}-out`;
    await here.launcher.move([{ from: rewritten.stagingName, to: name }], [answer.view]);
    expect(readFileSync(join(here.store, name, "self"), "utf8")).toBe(`/cloister/store/${name}\n`);
  });

  test("many orders at once are each answered", async ({ skip }) => {
    skip(missing !== "", missing);
    const names = Array.from({ length: 200 }, (_, index) => storeName("7", `text-${index}`));
    await Promise.all(names.map((name) => here.launcher.writeText(name, Buffer.alloc(20_000, name))));
    for (const name of names) expect(statSync(join(here.store, name)).size).toBe(20_000);
    expect((await here.launcher.remove(names)).missing).toEqual([]);
  });

  test("restoring does not wait behind builds", async ({ skip }) => {
    skip(missing !== "", missing);
    const cancel = new AbortController();
    const builds = [1, 2, 3].map(() => here.run(shellSpec("sleep 30", { outputs: [] }), {}, cancel.signal));
    const restored = await here.launcher.restore(pieces(encodeNar({ file: "x" })));
    await here.launcher.discard([restored.stagingName]);
    cancel.abort();
    for (const { answer } of await Promise.all(builds)) expect(answer.ending.kind).toBe("cancelled");
  });
});

describe("start and end", () => {
  test("a strength that nobody knows or that is not granted is an error with the step", async ({ skip }) => {
    skip(process.geteuid?.() === 0, "needs an ordinary user");
    await using folders = makeTemporaryFolders();
    const starting = startLauncher({ ...folders.options, strength: "root", maxJobs: 1 });
    await expect(starting).rejects.toMatchObject({
      code: "STRENGTH_UNAVAILABLE",
      details: { step: "be-root", errnoName: "EPERM" },
    });
  });

  test("a program that is no launcher is an error", async () => {
    await using folders = makeTemporaryFolders();
    const start = (executable: string) =>
      startLauncher({ ...folders.options, strength: "single", maxJobs: 1, executable });
    await expect(start("/bin/true")).rejects.toMatchObject({ code: "LAUNCHER_START_FAILED" });
    await expect(start("/nowhere")).rejects.toMatchObject({
      code: "LAUNCHER_START_FAILED",
      details: { errnoName: "ENOENT" },
    });
  });

  test("staging on another mount than the store is refused", async ({ skip }) => {
    skip(granted === undefined, missing);
    skip(
      !existsSync("/dev/shm") || statSync("/dev/shm").dev === statSync("/tmp").dev,
      "needs /dev/shm on a mount of its own",
    );
    await using folders = makeTemporaryFolders();
    await using elsewhere = makeTemporaryFolders(mkdtempSync("/dev/shm/cloister-jail-"));
    const starting = startLauncher({
      ...folders.options,
      stagingDirectory: elsewhere.options.stagingDirectory,
      strength: granted?.strength ?? "auto",
      maxJobs: 1,
    });
    await expect(starting).rejects.toMatchObject({ code: "LAUNCHER_LAYOUT", details: { errnoName: "EXDEV" } });
  });

  test("what an earlier one left in staging, builds and trash is swept", async ({ skip }) => {
    skip(granted === undefined, missing);
    await using folders = makeTemporaryFolders();
    const { stagingDirectory, trashDirectory, buildsDirectory } = folders.options;
    for (const place of [stagingDirectory, trashDirectory, buildsDirectory]) {
      mkdirSync(join(place, "left/deep"), { recursive: true, mode: 0o700 });
      writeFileSync(join(place, "left/deep/file"), "");
    }
    await using launcher = await startLauncher({
      ...folders.options,
      strength: granted?.strength ?? "auto",
      maxJobs: 1,
    });
    expect(launcher.unsweptEntries).toBe(0);
    expect(readdirSync(stagingDirectory)).not.toContain("left");
    expect(readdirSync(buildsDirectory)).not.toContain("left");
    await expect.poll(() => readdirSync(trashDirectory)).toEqual([]);
  });

  test("what a stronger one left does not disturb a weaker one, and goes with the next strong one", async ({
    skip,
  }) => {
    const both = (await strengthsToTest()).filter(({ missing: why, strength }) => why === "" && strength !== "root");
    skip(both.length < 2, "needs an ordinary user with range and single strength");
    await using folders = makeTemporaryFolders();
    const { folder } = folders;
    const strong = await makeTemporaryLauncher({ strength: "range", folder });
    const spec = shellSpec("mkdir -p /build/a/b $out/c; touch /build/a/file; echo ready; sleep 100");
    const building = strong.launcher.build(
      { spec, candidates: [], outputs: [] },
      { onLog: () => process.kill(strong.launcher.pid, "SIGKILL") },
    );
    await expect(building).rejects.toMatchObject({ code: "LAUNCHER_GONE" });
    await strong.launcher.closed;
    {
      const weak = await makeTemporaryLauncher({ strength: "single", folder });
      const { answer } = await weak.run(shellSpec("echo hi > $out"));
      await weak.keep(answer);
      expect(await weak.launcher.remove([out])).toMatchObject({ missing: [] });
      await weak.launcher.close();
    }
    expect(readdirSync(folders.options.trashDirectory)).not.toEqual([]);
    const next = await makeTemporaryLauncher({ strength: "range", folder });
    await expect.poll(() => readdirSync(folders.options.trashDirectory)).toEqual([]);
    await next.launcher.close();
  });

  test("a build directory of which only a part can be made leaves nothing", async ({ skip }) => {
    skip(granted === undefined, missing);
    using small = mountSmall(1, 2); // the second inode is for the outer of two directories
    if (small === undefined) return skip("needs the right to mount a small disk");
    await using folders = makeTemporaryFolders();
    await using launcher = await startLauncher({
      ...folders.options,
      buildsDirectory: small.path,
      strength: granted?.strength ?? "auto",
      maxJobs: 1,
    });
    const order = { spec: shellSpec("true"), candidates: [], outputs: [] };
    for (let round = 0; round < 2; round += 1) {
      await expect(launcher.build(order, { onLog: () => undefined })).rejects.toMatchObject({
        code: "JAIL_STEP_FAILED",
        details: { step: "make-directory", errnoName: "ENOSPC", path: "build" },
      });
      expect(readdirSync(small.path)).toEqual([]);
    }
  });

  test("closing leaves nothing in staging, builds and trash, and can be done twice", async ({ skip }) => {
    skip(granted === undefined, missing);
    await using folders = makeTemporaryFolders();
    const launcher = await startLauncher({ ...folders.options, strength: granted?.strength ?? "auto", maxJobs: 1 });
    await launcher.restore(pieces(encodeNar({ file: "x" })));
    await launcher.close();
    await launcher.close();
    const { stagingDirectory, trashDirectory, buildsDirectory } = folders.options;
    for (const place of [stagingDirectory, trashDirectory, buildsDirectory]) expect(readdirSync(place)).toEqual([]);
    await expect(launcher.writeText("x", Buffer.from("x"))).rejects.toMatchObject({ code: "LAUNCHER_GONE" });
    rmSync(folders.folder, { recursive: true });
  });
});
