/** Checks, variations, and what failed builds left, as a person and a program see them. */
import { lstatSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CommandLine, missingJails } from "../support/command-line.ts";

describe.skipIf(missingJails !== "")(`checks on the command line${missingJails && `: ${missingJails}`}`, () => {
  const cli = new CommandLine();
  beforeAll(() => {
    cli.define("greeting", "echo good day > $out");
    cli.define("fails", "exit 3");
  });
  afterAll(() => cli[Symbol.asyncDispose]());

  test("--vary names what makes the difference", async () => {
    cli.define("named", 'echo "$HOSTNAME$(cat /proc/sys/kernel/hostname)" > $out');
    const found = await cli.run(["build", "named.ts", "--vary", "--no-link"]);
    expect(found).toMatchObject({ status: 1, stdout: "" });
    expect(found.stderr).toContain("what makes the difference: host-name\n");
    expect(found.stderr).toMatch(/other contents from byte 0 on, "localhost\S*" and "elsewhere\S*": the host name/);
    const steady = await cli.run(["build", "greeting.ts", "--vary-only", "host-name,umask", "--no-link"]);
    expect(steady.stderr).toContain("with another host-name, umask: the same, bit for bit\n");
    const wrong = await cli.run(["build", "greeting.ts", "--vary-only", "moon"]);
    expect(wrong).toMatchObject({ status: 2, stderr: expect.stringContaining("[CLI_USAGE]") });
  });

  test("--keep-failed unpacks what a failed build left, and recover does it again", async () => {
    cli.define("leaves", "mkdir logs; echo why > logs/config.log; exit 4");
    const environment = { TMPDIR: cli.cwd };
    const { status, stderr } = await cli.run(["build", "leaves.ts", "--keep-failed"], { environment });
    expect(status).toBe(1);
    const directory = /what leaves-1\.0 left: (\S+)\n/.exec(stderr)?.[1] ?? "";
    expect(directory.startsWith(`${cli.cwd}/cloister-leaves-1.0-`)).toBe(true);
    expect(readFileSync(join(directory, "logs/config.log"), "utf8")).toBe("why\n");
    expect(lstatSync(directory).uid).toBe(process.getuid?.());

    const again = (await cli.run(["recover", "leaves-1.0", "--to", "."])).stdout.trim();
    expect(again).not.toBe(directory);
    expect(readFileSync(join(again, "logs/config.log"), "utf8")).toBe("why\n");
    const { results } = await cli.json("build", ["build", "leaves.ts", "--keep-failed"]);
    const [kept] = results.map((result) => result.kept);
    expect(readFileSync(join(kept?.directory ?? "", "logs/config.log"), "utf8")).toBe("why\n");
    rmSync(dirname(kept?.directory ?? ""), { recursive: true, force: true });
    await cli.run(["build", "fails.ts"]);
    const nothing = await cli.run(["recover", "fails-1.0"]);
    expect(nothing).toMatchObject({ status: 1, stderr: expect.stringContaining("[KEPT_BUILD_NOT_FOUND]") });
  });
});
