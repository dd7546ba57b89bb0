/** `cloister tree`, `why-depends` and `diff`, on what was really built. */
import { readlinkSync } from "node:fs";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CommandLine, missingJails } from "../support/command-line.ts";

describe.skipIf(missingJails !== "")(`closures on the command line${missingJails && `: ${missingJails}`}`, () => {
  const cli = new CommandLine();
  const pathOf = (link: string) => basename(readlinkSync(join(cli.cwd, link)));
  beforeAll(async () => {
    cli.write(
      "app.ts",
      `import { derivation, hostWorld } from "cloister";
const world = hostWorld(["bash", "mkdir", "ln"]);
const make = (name, script, inputs = {}) =>
  derivation({ name, world, runtime: "none", inputs, script: "mkdir $out; " + script });
export const lib = make("lib-1.0", "echo code > $out/code; echo data > $out/data");
export const lib2 = make("lib-2.0", "echo newer code > $out/code; echo more > $out/added");
export const app = make("app-1.0", "echo uses $lib > $out/config; ln -s $lib/data $out/data", { lib });
export const app2 = make("app-1.1", "echo uses $lib > $out/config; ln -s $lib/data $out/data", { lib: lib2 });
`,
    );
    for (const name of ["lib", "lib2", "app", "app2"]) {
      const { status, stderr } = await cli.run(["build", `app.ts#${name}`, "-o", name]);
      expect(status, stderr).toBe(0);
    }
  });
  afterAll(() => cli[Symbol.asyncDispose]());

  test("tree: sizes, and what stands below", async () => {
    const { status, stdout, stderr } = await cli.run(["tree", "app"]);
    expect(status, stderr).toBe(0);
    const size = String.raw`\s+\d[\d.]* (?:bytes|KiB)`;
    expect(stdout).toMatch(
      new RegExp(`^${size}${size}${size}  ${pathOf("app")}\n${size}${size}${size}  └─ ${pathOf("lib")}\n$`),
    );
    expect(stderr).toMatch(/^2 paths, /);
    const json = await cli.json("tree", ["tree", "app"]);
    const [lib, app] = json.nodes;
    expect(app?.closureBytes).toBe((app?.ownBytes ?? 0) + (lib?.ownBytes ?? 0));
    expect(app?.retainedBytes).toBe(json.bytes);
    expect((await cli.run(["tree", "app", "--depth", "1"])).stdout).toContain("(1 reference)");
  });

  test("why-depends: the file and the byte", async () => {
    const { status, stdout, stderr } = await cli.run(["why-depends", "app", "lib", "--all"]);
    expect(status, stderr).toBe(0);
    expect(stdout).toContain(pathOf("app"));
    expect(stdout).toContain(`config, byte ${"uses /cloister/store/".length}: …`);
    expect(stdout).toContain("data, a link's target: …");
    const json = await cli.json("why-depends", ["why-depends", "app", "lib"]);
    expect(json).toMatchObject({ depends: true, steps: [{ count: 2, places: [{ file: "config" }] }], exit: 0 });
    expect(await cli.run(["why-depends", "lib", "app"])).toMatchObject({
      status: 1,
      stdout: expect.stringContaining(" does not depend on "),
    });
  });

  test("diff: files, and packages of closures", async () => {
    expect(await cli.run(["diff", "lib", "lib2"])).toMatchObject({
      status: 1,
      stdout: "+ added (5 bytes)\n~ code (contents, 5 bytes → 11 bytes)\n- data (5 bytes)\n",
    });
    const { status, stdout } = await cli.run(["diff", "app", "app2", "--closure"]);
    expect(status).toBe(1);
    expect(stdout).toMatch(/^~ app: 1\.0 → 1\.1 \([+-].*\)$/m);
    expect(stdout).toMatch(/^~ lib: 1\.0 → 2\.0 \(\+.*\)$/m);
    expect(await cli.json("diff", ["diff", "lib", "lib"])).toMatchObject({ files: [], exit: 0 });
    expect((await cli.json("diff", ["diff", "app", "app2", "-c"])).packages).toHaveLength(2);
  });

  test("what is not there is said", async () => {
    const absent = `${"0".repeat(32)}-absent`;
    for (const args of [
      ["tree", absent],
      ["why-depends", absent, "lib"],
      ["diff", "lib", absent],
    ])
      expect((await cli.run(args)).stderr).toMatch(
        / is not in the store (?:\S+ )?\[(?:CLI_PATH_UNKNOWN|STORE_PATH_NOT_VALID)\]/,
      );
  });
});
