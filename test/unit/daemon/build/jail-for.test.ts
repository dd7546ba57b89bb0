import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makePlaceholder } from "../../../../derivations/placeholder.ts";
import { missingBusybox } from "../../../support/busybox.ts";
import { LocalBuilds } from "../../../support/local-builds.ts";

let builds: LocalBuilds;
const needsBusybox = "needs a static busybox (busybox-static)";

/** What this machine grants, and what every machine does. */
const strengths = ["auto", "single"] as const;

describe.skipIf(missingBusybox).each(strengths)(`the jail in strength %s (${needsBusybox})`, (strength) => {
  beforeAll(async () => {
    builds = await LocalBuilds.open({ strength });
  });
  afterAll(() => builds?.[Symbol.asyncDispose]());

  describe("the builder's surroundings", () => {
    test("the environment is the contract and nothing else", async () => {
      const { result, out } = await builds.build({
        name: "environment",
        variables: { mine: "1", PATH: "/mine" },
        script: "env | sort > $out",
      });
      const lines = (await builds.read(result.outputs.out)).trimEnd().split("\n");
      // busybox's shell adds these three to what it exports
      expect(lines.filter((line) => !/^(SHLVL|OLDPWD|_)=/.test(line))).toEqual(
        [
          "HOME=/homeless-shelter",
          "NIX_BUILD_CORES=1",
          "NIX_BUILD_TOP=/build",
          "NIX_LOG_FD=2",
          `NIX_STORE=${builds.directory}`,
          "PATH=/mine",
          "PWD=/build",
          "TEMP=/build",
          "TEMPDIR=/build",
          "TERM=xterm-256color",
          "TMP=/build",
          "TMPDIR=/build",
          "mine=1",
          `out=${out()}`,
        ].sort(),
      );
    });

    test("argv[0], working directory, umask, ids, standard input", async () => {
      const { result } = await builds.build({
        name: "process",
        script: "{ tr '\\0' ' ' < /proc/self/cmdline; echo; pwd; umask; id -u; id -g; cat; ulimit -c; } > $out",
      });
      const [, directory, umask, uid, gid, core] = (await builds.read(result.outputs.out)).split("\n");
      expect([directory, umask, uid, gid, core]).toEqual(["/build", "0022", "1000", "100", "0"]);
    });

    test("placeholders in arguments and variables become paths", async () => {
      const { result, out } = await builds.build({
        name: "placeholder",
        variables: { flags: `--prefix=${makePlaceholder("out")}` },
        args: ["sh", "-ec", `echo $flags > ${makePlaceholder("out")}`],
      });
      expect(await builds.read(result.outputs.out)).toBe(`--prefix=${out()}\n`);
    });

    test("passAsFile", async () => {
      const { result } = await builds.build({
        name: "pass-as-file",
        variables: { passAsFile: "big", big: "x".repeat(300_000) },
        script: '[ -z "$big" ]; wc -c < $bigPath > $out',
      });
      expect(await builds.read(result.outputs.out)).toBe("300000\n");
    });

    test("structured attributes", async () => {
      const { result } = await builds.build({
        name: "structured",
        variables: { __json: JSON.stringify({ words: ["a", "b"], __structuredAttrs: true }) },
        args: ["sh", "-ec", `cp "$NIX_ATTRS_JSON_FILE" ${makePlaceholder("out")}`],
      });
      expect(JSON.parse(await builds.read(result.outputs.out))).toEqual({
        words: ["a", "b"],
        __structuredAttrs: true,
        outputs: { out: `${builds.directory}/${result.outputs.out}` },
      });
    });

    test("exportReferencesGraph tells a closure", async () => {
      const low = await builds.build({ name: "low", script: "echo 1 > $out" });
      const high = await builds.build({
        name: "high",
        inputs: [low],
        variables: { low: low.out() },
        script: "echo $low $out > $out",
      });
      const { result } = await builds.build({
        name: "graph",
        inputs: [high],
        variables: { exportReferencesGraph: `graph ${high.out()}` },
        script: "cp graph $out",
      });
      const record = (path: string, references: string[]) => [
        path,
        "",
        String(references.length),
        ...references.sort(),
      ];
      const byPath = [record(low.out(), []), record(high.out(), [low.out(), high.out()])].sort(([a], [b]) =>
        (a as string) < (b as string) ? -1 : 1,
      );
      expect(await builds.read(result.outputs.out)).toBe(
        byPath
          .flat()
          .map((line) => `${line}\n`)
          .join(""),
      );
    });

    test("an undeclared store path is not there, a declared one cannot be written", async () => {
      const undeclared = await builds.build({ name: "undeclared", script: "echo 1 > $out" });
      const { result } = await builds.build({
        name: "look",
        variables: { busybox: `${builds.directory}/${builds.busybox}` },
        script: `ls $NIX_STORE > $out; echo x > $busybox/new 2>/dev/null && echo written >> $out || true`,
      });
      expect(await builds.read(result.outputs.out)).not.toContain(undeclared.result.outputs.out);
      expect((await builds.read(result.outputs.out)).trim().split("\n").sort()).toEqual(
        [builds.busybox, result.outputs.out].sort(),
      );
    });
  });
});
