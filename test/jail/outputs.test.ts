/** What a builder may leave: each form of output, and what is refused. */
import { createHash } from "node:crypto";
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { strengthsToTest } from "../support/granted-strengths.ts";
import {
  makeTemporaryLauncher,
  out,
  shellSpec,
  storeName,
  type TemporaryLauncher,
} from "../support/temporary-launcher.ts";

const dev = storeName("1", "dev");

describe.for(await strengthsToTest())("in $strength strength", ({ strength, missing }) => {
  let here: TemporaryLauncher;
  beforeAll(async () => {
    if (missing === "") here = await makeTemporaryLauncher({ strength });
  });
  afterAll(() => here?.[Symbol.asyncDispose]());

  const forms = [
    ["a file", "echo hi > $out", "hi\n"],
    ["an executable file", "echo hi > $out; chmod 755 $out", "hi\n"],
    ["a directory", "mkdir $out; echo hi > $out/file", ["file"]],
    ["a directory made by mkdir -p", "mkdir -p $out/a/b; echo hi > $out/a/b/c", ["a"]],
    ["a symlink", "ln -s /nowhere $out", "/nowhere"],
    ["removed and made again", "mkdir $out; touch $out/old; rm -rf $out; echo new > $out", "new\n"],
    ["renamed from the build directory's side", "mkdir x; touch x/y; cp -r x $out", ["y"]],
  ] as const;
  test.for(forms)("$0 can be an output", async ([, script, expected], { skip }) => {
    skip(missing !== "", missing);
    const { answer } = await here.run(shellSpec(script));
    const kept = await here.keep(answer);
    const status = lstatSync(kept);
    if (status.isDirectory()) expect(readdirSync(kept)).toEqual(expected);
    else if (status.isSymbolicLink()) expect(readlinkSync(kept)).toBe(expected);
    else expect(readFileSync(kept, "utf8")).toBe(expected);
    expect([status.uid, status.mtimeMs]).toEqual([process.geteuid?.(), 1000]);
    if (!status.isSymbolicLink()) expect(status.mode & 0o7222).toBe(0);
  });

  test("several outputs are sealed, each with its references; one that is missing is named", async ({ skip }) => {
    skip(missing !== "", missing);
    const outputs = [out, dev, storeName("2", "doc")];
    const spec = shellSpec("echo $out2 > $out; mkdir $out2; echo $out2 > $out2/self", { outputs });
    const candidates = outputs.map((name) => name.slice(0, 32));
    const { answer } = await here.run(spec, { candidates });
    const sealed = answer.outputs.map((output) => (output.kind === "sealed" ? output.references : output.kind));
    expect(sealed).toEqual([["1".repeat(32)], ["1".repeat(32)], "missing"]);
    await here.launcher.discard([], [answer.view]);
  });

  test("the hash of a fixed output is of its contents, the archive's is of its archive", async ({ skip }) => {
    skip(missing !== "", missing);
    const order = { outputs: [{ name: out, hash: { method: "flat", algorithm: "sha1" } as const }] };
    const { answer } = await here.run(shellSpec("echo -n fixed > $out"), order);
    const [output] = answer.outputs;
    if (output?.kind !== "sealed") throw new Error("not sealed");
    expect(Buffer.from(output.hash ?? "")).toEqual(createHash("sha1").update("fixed").digest());
    expect(output.narSize).toBe(120n);
    await here.launcher.discard([], [answer.view]);
  });

  const refusals = [
    ["a FIFO", "mkfifo $out", "OUTPUT_SPECIAL_FILE", ""],
    ["a FIFO inside", "mkdir $out; mkfifo $out/pipe", "OUTPUT_SPECIAL_FILE", "pipe"],
    ["an output writable by all", "mkdir $out; chmod 777 $out", "OUTPUT_TOP_WRITABLE", ""],
  ] as const;
  test.for(refusals)("$0 is refused", async ([, script, code, path], { skip }) => {
    skip(missing !== "", missing);
    const { answer } = await here.run(shellSpec(script));
    expect(answer.outputs).toEqual([expect.objectContaining({ kind: "refused", code, path })]);
    await here.launcher.discard([], [answer.view]);
  });

  test("a flat output that is a directory or executable is refused", async ({ skip }) => {
    skip(missing !== "", missing);
    for (const script of ["mkdir $out", "touch $out; chmod +x $out"]) {
      const order = { outputs: [{ name: out, hash: { method: "flat", algorithm: "sha256" } as const }] };
      const { answer } = await here.run(shellSpec(script), order);
      expect(answer.outputs).toEqual([expect.objectContaining({ kind: "refused", code: "TREE_NOT_FLAT" })]);
      await here.launcher.discard([], [answer.view]);
    }
  });

  test("a hard link to a file outside of the outputs is copied: nobody can change it afterwards", async ({ skip }) => {
    skip(missing !== "", missing);
    const script = "cd /cloister/store; echo one > kept; ln kept $out; echo more >> kept; cp kept /build";
    const { answer } = await here.run(shellSpec(script));
    const kept = await here.keep(answer);
    expect([readFileSync(kept, "utf8"), statSync(kept).nlink]).toEqual(["one\nmore\n", 1]);
  });

  test("a hard link to an input cannot be made", async ({ skip }) => {
    skip(missing !== "", missing);
    const input = storeName("3", "input");
    mkdirSync(join(here.store, input));
    writeFileSync(join(here.store, input, "file"), "input");
    const log = await here.shell(`ln /cloister/store/${input}/file /cloister/store/link 2>&1 || true`, {
      inputs: [input],
    });
    expect(log).toMatch(/Cross-device link|Invalid cross-device link/);
    expect(() => linkSync(join(here.store, input, "none"), "none")).toThrow();
  });

  test("nothing but the declared outputs reaches the store, and the rest vanishes", async ({ skip }) => {
    skip(missing !== "", missing);
    const before = readdirSync(here.store).sort();
    const { answer } = await here.run(shellSpec("echo x > /cloister/store/other; echo x > $out; echo x > /build/left"));
    await here.keep(answer);
    expect(readdirSync(here.store).sort()).toEqual([...new Set([...before, out])].sort());
    await expect.poll(() => existsSync(join(here.staging, answer.view, "other"))).toBe(false);
  });

  test("outputs of a failed build are not sealed", async ({ skip }) => {
    skip(missing !== "", missing);
    const { answer } = await here.run(shellSpec("echo x > $out; exit 3"));
    expect([answer.ending, answer.outputs]).toEqual([{ kind: "exited", code: 3 }, []]);
    await here.launcher.discard([], [answer.view]);
  });
});
