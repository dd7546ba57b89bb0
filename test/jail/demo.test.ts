/** A whole build by the command line, seen from inside: what the documents promise a builder, and what comes of it. */
import { execFileSync } from "node:child_process";
import { readFileSync, readlinkSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { packageFolder } from "../../sandbox-native/pinned-node.mjs";
import { CommandLine, missingJails } from "../support/command-line.ts";

const document = readFileSync(join(packageFolder, "docs/derivations.md"), "utf8");

/** Rows of the table of a builder's environment in which each variable has a literal value, as docs/derivations.md has them. */
function documentedVariables(): Record<string, string> {
  const section = document.slice(document.indexOf("## What a builder finds"), document.indexOf("### What is made of"));
  const variables: Record<string, string> = {};
  for (const [, left = "", right = ""] of section.matchAll(/^\| (.+) \| (.+) \|$/gm)) {
    const names = quoted(left);
    const values = quoted(right);
    const isLiteral = /^(`[^`]+`(, )?)+$/.test(left) && /^(`[^`]+`(, )?)+$/.test(right);
    if (isLiteral) for (const [index, name] of names.entries()) variables[name] = values[index] ?? values[0] ?? "";
  }
  return variables;
}

function quoted(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map(([, inner = ""]) => inner);
}

describe.skipIf(missingJails !== "")(`inside a build${missingJails && `: ${missingJails}`}`, () => {
  const cli = new CommandLine();
  beforeAll(() => cli.write("input", "as it was"));
  afterAll(() => cli[Symbol.asyncDispose]());

  /** Builds the script in a host world and resolves to the log, the output's place and its path. */
  async function build(name: string, script: string, more = 'inputs: { src: source("./input") },') {
    const { status, stderr } = await cli.run(["build", cli.define(name, script, more), "-o", name, "--cores", "1"]);
    expect(status, stderr).toBe(0);
    const { record, log } = await cli.json("log", ["log", name]);
    return { record, log, link: join(cli.cwd, name) };
  }

  test("a file of the host that is not declared is invisible, also in this user's home and the store", async () => {
    const secret = join(cli.folder, "secret");
    writeFileSync(secret, "secret");
    cli.define("other", "echo other > $out");
    await cli.run(["build", "other.ts", "-o", "other"]);
    const other = readlinkSync(join(cli.cwd, "other"));
    const logical = `/cloister/store/${other.split("/").at(-1)}`;
    const tried = [secret, other, logical, cli.root, cli.folder, "/root", "/home", "/proc/1/root/root"];
    const { log, record } = await build(
      "invisible",
      `for file in ${tried.join(" ")}; do if [ -e $file ]; then echo "sees $file"; fi; done
ls /cloister/store; echo > $out`,
    );
    expect(log).not.toContain("sees ");
    expect(log.trim().split("\n").sort()).toEqual(record.inputs.map((path) => path.split("/").at(-1)).sort());
  });

  test("an input can be neither written nor removed nor replaced", async () => {
    const { log } = await build(
      "read-only",
      `for command in "echo changed > $src" "rm -f $src" "ln -sf /etc/passwd $src" "mkdir $__world/new"; do
  if eval "$command" 2>/dev/null; then echo "worked: $command"; fi
done; cat $src; echo > $out`,
    );
    expect(log).toBe("as it was");
  });

  test("there is no network: nothing but the loopback interface, and no route", async () => {
    const { log } = await build(
      "offline",
      `cat /proc/net/dev; cat /proc/net/route; echo "in use: $(ls /proc/net/unix)"
if (echo > /dev/tcp/192.0.2.1/80) 2>/dev/null; then echo connected; fi; echo > $out`,
    );
    const interfaces = [...log.matchAll(/^ *(\S+):\s+\d/gm)].map(([, name]) => name);
    expect(interfaces).toEqual(["lo"]);
    expect(log).not.toContain("connected");
    expect(log).toMatch(/^Iface.*\nin use/m);
  });

  test("the environment is exactly the documented one", async () => {
    const more = 'inputs: { src: source("./input") }, env: { GREETING: "good day" },';
    const { link, record } = await build("environment", "cat /proc/$$/environ > $out", more);
    const found = Object.fromEntries(
      readFileSync(link, "utf8")
        .split("\0")
        .filter((line) => line !== "")
        .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
    );
    const search = /`PATH`\n?\s*\(`([^`]+)`/.exec(document)?.[1] ?? "";
    const documented = documentedVariables();
    expect(Object.keys(documented).length).toBeGreaterThan(8);
    expect(found).toEqual({
      ...documented,
      NIX_STORE: "/cloister/store",
      NIX_BUILD_CORES: "1",
      PATH: search,
      __world: record.world,
      name: "environment-1.0",
      builder: record.command[0],
      system: expect.stringMatching(/-linux$/),
      out: record.outputs.out?.path,
      src: expect.stringMatching(/^\/cloister\/store\/\S+-input$/),
      GREETING: "good day",
    });
    expect(record.environment).toEqual(found);
  });

  test("the builder is uid 1000 and gid 100 in /build, with no privilege and no way to one", async () => {
    expect(document).toContain("umask 022, uid 1000 and gid 100");
    const { log } = await build("identity", "umask; pwd; cat /proc/self/status; echo > $out");
    expect(log).toMatch(/^0022\n\/build\n/);
    expect(log).toContain("Uid:\t1000\t1000\t1000\t1000\n");
    expect(log).toContain("Gid:\t100\t100\t100\t100\n");
    expect(log).toContain("CapEff:\t0000000000000000\n");
    expect(log).toContain("NoNewPrivs:\t1\n");
  });

  test.each([
    ["a file", "echo contents > $out", (link: string) => readFileSync(link, "utf8") === "contents\n"],
    ["a directory", "mkdir $out; echo > $out/file", (link: string) => statSync(join(link, "file")).isFile()],
    ["a link", "ln -s somewhere $out", (link: string) => readlinkSync(readlinkSync(link)) === "somewhere"],
    [
      "something else first, removed and made again",
      "mkdir $out; echo > $out/file; rm -r $out; echo again > $out",
      (link: string) => readFileSync(link, "utf8") === "again\n",
    ],
  ])("the output may be %s", async (what, script, isRight) => {
    const { link } = await build(`makes-${what.replaceAll(/\W/g, "-")}`, script);
    expect(isRight(link)).toBe(true);
  });

  test("the output runs on the host afterwards, sealed, and the record says how it came about", async () => {
    const before = Date.now();
    const script = `mkdir -p $out/bin
echo '#!/bin/sh' > $out/bin/hello; echo 'echo hello from the host' >> $out/bin/hello; chmod +x $out/bin/hello`;
    cli.write(
      "runs.ts",
      `import { derivation, hostWorld } from "cloister";
export default derivation({ name: "runs-1.0", world: hostWorld(["bash", "mkdir", "chmod"]), script: ${JSON.stringify(script)} });`,
    );
    const { status, stderr } = await cli.run(["build", "runs.ts", "-o", "runs"]);
    expect(status, stderr).toBe(0);
    const program = join(cli.cwd, "runs/bin/hello");
    expect(execFileSync(program, { encoding: "utf8" })).toBe("hello from the host\n");
    expect(statSync(program).mode & 0o777).toBe(0o555);
    expect(statSync(program).mtimeMs).toBe(1000);

    const { paths } = await cli.json("path-info", ["path-info", "runs"]);
    const [info] = paths;
    const { record } = await cli.json("log", ["log", "runs"]);
    expect(info?.record).toEqual(record);
    expect(record.command.at(-1)).toBe(script);
    expect(record.environment).toMatchObject({ out: info?.path, NIX_BUILD_TOP: "/build" });
    expect(record.inputs).toEqual([record.world]);
    expect(record.startedAtMs).toBeGreaterThanOrEqual(before);
    expect(record.stoppedAtMs).toBeGreaterThanOrEqual(record.startedAtMs);
    expect(record.exitStatus).toBe(0);
    expect(record.outputs.out).toEqual({ path: info?.path, narHash: info?.narHash, narSize: info?.narSize });
  });
});
