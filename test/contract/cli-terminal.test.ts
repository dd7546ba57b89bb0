/** `cloister build` in a real terminal: what is painted while builds run, and what is left of it afterwards. */
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { packageFolder } from "../../sandbox-native/pinned-node.mjs";
import { CommandLine, missingJails } from "../support/command-line.ts";
import { missingTerminal, RealTerminal } from "../support/real-terminal.ts";

const missing = missingJails || missingTerminal;
const bin = join(packageFolder, "daemon/cli/bin.js");

describe.skipIf(missing !== "")(`builds in a terminal${missing && `: ${missing}`}`, () => {
  const cli = new CommandLine();
  let runs = 0;
  /** A build that tells its phase, says something and goes on until it is ended. */
  const define = (name: string, say: string) =>
    cli.define(name, `echo '@nix {"action":"setPhase","phase":"buildPhase"}' >&2; ${say}; sleep 600`);
  beforeAll(async () => {
    define("waits", "echo waiting for the end");
    const wide = "日本語テキスト".repeat(10) + "e\u0301".repeat(80);
    define("wide", String.raw`printf '\033[2J\033]0;t\007%s\n' '${wide}'`);
    cli.define("short", "sleep 1; echo said; mkdir $out");
    cli.define("fails", "echo no luck; sleep 1; exit 3");
    expect((await cli.run(["build", "fails.ts", "--no-link"])).status).toBe(1); // the daemon runs, and the world is there
  });
  afterAll(() => cli[Symbol.asyncDispose]());

  function open(columns: number, rows = 24): Promise<RealTerminal> {
    runs += 1;
    const folder = join(cli.folder, `t${runs}`);
    mkdirSync(folder);
    return RealTerminal.open({
      ...{ folder, columns, rows },
      environment: { HOME: cli.folder, CLOISTER_ROOT: cli.root },
      commands: `cd ${cli.cwd}; c() { ${process.execPath} ${bin} "$@"; }`,
    });
  }

  /** The lines of the picture, which is the end of the screen. */
  const picture = (screen: string) => screen.split("\n").filter((line) => /^▸|^\d+ of \d+ done/.test(line));
  const isCalm = (screen: string) => screen.endsWith("$") && !screen.includes("▸");

  test.each([40, 200])(
    "at %i columns each build has one line, with its phase and the last line of its log",
    async (columns) => {
      await using terminal = await open(columns);
      await terminal.type("c build waits.ts wide.ts --no-link", "Enter");
      const screen = await terminal.untilShown((text) => (text.match(/buildPhase/g)?.length ?? 0) === 2);
      const lines = picture(screen);
      expect(lines).toHaveLength(3);
      expect(lines.find((line) => line.startsWith("▸ waits-1.0"))).toMatch(
        /^▸ waits-1\.0 {2}buildPhase( {2}\d+ s)? {2}waiting fo/,
      );
      expect(lines.find((line) => line.startsWith("▸ wide-1.0"))).toMatch(
        /^▸ wide-1\.0 {3}buildPhase( {2}\d+ s)? {2}日本.*…$/,
      );
      expect(lines.at(-1)).toMatch(/^0 of 2 done · 2 running/);
      expect(screen.split("\n").at(-1)).toBe(lines.at(-1)); // nothing is left below it
      expect(await terminal.modes()).toEqual({ cursor: false, wrap: false });

      await terminal.type("C-c");
      // Such a line wraps where it is narrow.
      const end = (await terminal.untilShown(isCalm)).replaceAll("\n", "");
      expect(end).toContain("cancelling (Ctrl-C again to leave at once)");
      expect(end).toContain("interrupted: what was cancelled left nothing behind");
      expect(end).not.toContain("0 of 2 done");
      expect(await terminal.modes()).toEqual({ cursor: true, wrap: true });
    },
  );

  test("stopped and resized it leaves nothing behind, and goes on where it was", async () => {
    await using terminal = await open(100);
    await terminal.type("c build waits.ts --no-link", "Enter");
    await terminal.untilShown((text) => text.includes("0 of 1 done"));
    await terminal.type("C-z");
    const stopped = await terminal.untilShown((text) => text.includes("Stopped") && text.endsWith("$"));
    expect(picture(stopped)).toEqual([]);
    expect(await terminal.modes()).toEqual({ cursor: true, wrap: true });

    await terminal.type("fg", "Enter");
    await terminal.untilShown((text) => picture(text).length === 2);
    for (const columns of [30, 120, 61]) {
      await terminal.resize(columns, 24);
      // It is painted again for the new size within its next second.
      await terminal.untilShown(
        (text) => picture(text).length === 2 && text.split("\n").at(-1)?.startsWith("0 of") === true,
      );
      expect((await terminal.show()).match(/0 of 1 done/g)).toHaveLength(1);
    }
    await terminal.type("C-c");
    await terminal.untilShown(isCalm);
    expect((await terminal.show({ all: true })).match(/plan: 1 build/g)).toHaveLength(1);
  });

  test("what ends stays in the scrollback, a line for each; the picture does not", async () => {
    await using terminal = await open(80, 9);
    await terminal.type(
      "for i in 1 2 3 4 5 6 7 8 9; do echo earlier $i; done; c build short.ts fails.ts --no-link -k",
      "Enter",
    );
    await terminal.untilShown((text) => text.includes("cloister log") && text.endsWith("$"));
    const all = await terminal.show({ all: true });
    for (let line = 1; line <= 9; line += 1) expect(all).toContain(`earlier ${line}\n`);
    expect(all).toMatch(/✔ short-1\.0 built in [0-9.]+ s \(\d of 2\)\n/);
    expect(all).toMatch(/✘ fails-1\.0 failed in [0-9.]+ s \(\d of 2\)\n/);
    expect(all).not.toMatch(/▸|running/);
    expect(all.match(/error: the builder of fails-1\.0/g)).toHaveLength(1);
  });

  test.each(["TERM", "QUIT"] as const)("ended by SIG%s it shows the cursor again", async (signal) => {
    await using terminal = await open(80);
    await terminal.type("c build waits.ts --no-link", "Enter");
    await terminal.untilShown((text) => text.includes("0 of 1 done"));
    execFileSync("pkill", [`-${signal}`, "-P", String(await terminal.shellPid())]);
    await terminal.untilShown(isCalm);
    expect(await terminal.modes()).toEqual({ cursor: true, wrap: true });
  });

  test("TERM=dumb and a pipe have a line for each change of state, and no control characters", async () => {
    await using terminal = await open(100);
    await terminal.type("clear; TERM=dumb c build fails.ts --no-link", "Enter");
    const dumb = await terminal.untilShown((text) => text.includes("cloister log") && text.endsWith("$"));
    expect(dumb).toContain("▸ building fails-1.0\n✘ fails-1.0 failed");
    await terminal.type("clear; c build fails.ts --no-link 2>&1 | cat -v", "Enter");
    const piped = await terminal.untilShown((text) => text.includes("cloister log") && text.endsWith("$"));
    expect(piped).toContain("fails-1.0 failed");
    expect(piped).not.toContain("^[");
  });
});
