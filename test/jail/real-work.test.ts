/** Real software, as a user would build it: the upstream archives of Debian's source packages, with their own tests. */
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { definitionOf, fetchArchives, type Software } from "../real-work/archives.ts";
import { CommandLine, missingJails } from "../support/command-line.ts";

const missing = missingJails || fetchArchives(["hello", "zlib"]);

describe.skipIf(missing !== "")(`real work${missing && `: ${missing}`}`, () => {
  let cli: CommandLine;
  beforeAll(() => {
    cli = new CommandLine();
  });
  afterAll(() => cli?.[Symbol.asyncDispose]());

  async function build(name: Software): Promise<{ readonly link: string; readonly log: string }> {
    const { status, stderr } = await cli.run(["build", definitionOf(name), "-o", name]);
    expect(status, stderr).toBe(0);
    const { log } = await cli.json("log", ["log", name]);
    return { link: join(cli.cwd, name), log };
  }

  test("GNU hello is configured, made, tested by its own tests, and runs", async () => {
    const { link, log } = await build("hello");
    expect(log).toMatch(/^# PASS: +[1-9]/m);
    expect(log).toMatch(/^# FAIL: +0$/m);
    const ran = spawnSync(join(link, "bin/hello"), ["--greeting=built in a jail"], { encoding: "utf8" });
    expect(ran.stdout).toBe("built in a jail\n");
  });

  test("zlib passes its own tests as a static, a shared and a 64-bit library", async () => {
    const { link, log } = await build("zlib");
    for (const kind of ["zlib test OK", "zlib shared test OK", "zlib 64-bit test OK"]) expect(log).toContain(kind);
    expect(readdirSync(join(link, "lib"))).toEqual(expect.arrayContaining(["libz.a", "libz.so", "libz.so.1"]));
  });
});
