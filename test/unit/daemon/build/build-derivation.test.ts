import { lstatSync, readdirSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { printHash, sha256 } from "../../../../derivations/hash.ts";
import type { Output } from "../../../../derivations/output.ts";
import { makePlaceholder } from "../../../../derivations/placeholder.ts";
import { parseStorePath, type StorePath } from "../../../../derivations/store-path.ts";
import { missingBusybox } from "../../../support/busybox.ts";
import { LocalBuilds } from "../../../support/local-builds.ts";
import { fileNar, inPieces } from "../../../support/temporary-store.ts";

let builds: LocalBuilds;
const needsBusybox = "needs a static busybox (busybox-static)";

/** What this machine grants, and what every machine does. */
const strengths = ["auto", "single"] as const;

describe.skipIf(missingBusybox).each(strengths)(`builds in strength %s (${needsBusybox})`, (strength) => {
  beforeAll(async () => {
    builds = await LocalBuilds.open({ strength });
  });
  afterAll(() => builds?.[Symbol.asyncDispose]());

  /**
   * Of builds that have ended nothing is left, some time soon: what the launcher keeps is views and build directories
   * that it prepared for builds to come, of which there are not more than it keeps ready.
   */
  async function expectNothingLeft(): Promise<void> {
    const state = join(builds.root, "cloister/var/cloister");
    await vi.waitFor(() => {
      const names = ["staging", "builds"].flatMap((name) => readdirSync(join(state, name)));
      expect(names.filter((name) => !/^(view|build)-/.test(name))).toEqual([]);
      expect(names.length).toBeLessThanOrEqual(20);
    }, 10_000);
  }

  describe("outputs", () => {
    test("a file, a directory, a symlink, and one that was removed and made again", async () => {
      const file = await builds.build({ name: "file", script: "echo hi > $out" });
      expect(file.result).toMatchObject({
        status: "built",
        outputs: { out: file.derivation.outputs.get("out") && expect.any(String) },
      });
      expect(await builds.read(file.result.outputs.out)).toBe("hi\n");

      const directory = await builds.build({
        name: "directory",
        script: "mkdir -p $out/bin; echo 1 > $out/bin/x; chmod +x $out/bin/x",
      });
      expect(await builds.read(directory.result.outputs.out, "bin/x")).toBe("1\n");
      expect(lstatSync(join(builds.realStoreDirectory, `${directory.result.outputs.out}`, "bin/x")).mode & 0o777).toBe(
        0o555,
      );

      const link = await builds.build({ name: "link", script: "ln -s /nowhere $out" });
      expect(readlinkSync(join(builds.realStoreDirectory, `${link.result.outputs.out}`))).toBe("/nowhere");

      const again = await builds.build({
        name: "again",
        script: "mkdir -p $out/a/b; rm -rf $out; ln -s x $out; rm $out; echo 2 > $out",
      });
      expect(await builds.read(again.result.outputs.out)).toBe("2\n");
    });

    test("several, that refer to each other and to themselves", async () => {
      const { result } = await builds.build({
        name: "several",
        outputs: ["out", "lib", "doc"],
        script: "mkdir $out $lib; echo $lib $out > $out/x; echo $lib > $lib/y; echo none > $doc",
      });
      const { out, lib, doc } = result.outputs;
      expect(await builds.references(out)).toEqual([lib, out].sort());
      expect(await builds.references(lib)).toEqual([lib]);
      expect(await builds.references(doc)).toEqual([]);
    });

    test("an input that the output names becomes a reference, one that it does not name does not", async () => {
      const named = await builds.build({ name: "named", script: "echo 1 > $out" });
      const silent = await builds.build({ name: "silent", script: "echo 2 > $out" });
      const { result } = await builds.build({
        name: "user",
        inputs: [named, silent],
        variables: { named: named.out(), silent: silent.out() },
        script: "cat $named $silent > /dev/null; echo $named > $out",
      });
      expect(await builds.references(result.outputs.out)).toEqual([named.result.outputs.out]);
    });

    test("only what is asked for is in the result, and all of it is valid", async () => {
      const derived = await builds.derive({
        name: "two",
        outputs: ["out", "dev"],
        script: "echo 1 > $out; echo 2 > $dev",
      });
      const { result } = await builds.buildAll([{ ...derived.target, outputs: ["dev"] }]);
      expect(Object.keys(result.outputs)).toEqual(["dev"]);
      const outputs = await builds.service.queryDerivationOutputs(derived.drvPath);
      expect(await builds.service.queryValidPaths([outputs.out as StorePath])).toHaveLength(1);
    });

    test("what is there already is not built again", async () => {
      const first = await builds.build({ name: "once", script: "echo 1 > $out" });
      const second = await builds.buildAll([first.target]);
      expect(second.result).toEqual({ drvPath: first.drvPath, status: "already-valid", outputs: first.result.outputs });
      expect(second.events).toEqual([{ kind: "plan", toBuild: [], alreadyValid: 1 }]);
    });

    test("a leftover in the store directory that is not valid gives way", async () => {
      const derived = await builds.derive({ name: "stale", script: "echo new > $out" });
      writeFileSync(join(builds.realStoreDirectory, derived.out().slice(builds.directory.length + 1)), "old");
      const { result } = await builds.buildAll([derived.target]);
      expect(await builds.read(result.outputs.out)).toBe("new\n");
    });
  });

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

  describe("failures", () => {
    test("an exit status, with the last lines of the log and the command that shows all of it", async () => {
      const { result, events } = await builds.build({
        name: "exit",
        script: "for i in $(seq 40); do echo line $i; done; printf 'no end'; exit 3",
      });
      expect(result).toMatchObject({
        status: "failed",
        outputs: {},
        error: { code: "BUILD_FAILED_EXIT", details: { code: 3 } },
      });
      expect(result.error?.hint).toContain(`cloister log ${result.recordId}`);
      const end = events.find((event) => event.kind === "build-finished");
      const lines = end?.kind === "build-finished" ? end.lastLogLines.map((line) => Buffer.from(line).toString()) : [];
      expect(lines).toEqual([...Array.from({ length: 24 }, (_, index) => `line ${index + 17}`), "no end"]);
      expect(await builds.log(result.recordId)).toMatch(/^line 1\nline 2\n[\s\S]*line 40\nno end$/);
      await expectNothingLeft();
    });

    test("a signal, by number and name", async () => {
      const overflow = "ulimit -s 128; f() { f; }; f"; // as pid 1 of its jail, no signal of its own would end it
      const { result } = await builds.build({ name: "signal", script: overflow });
      expect(result.error).toMatchObject({
        code: "BUILD_FAILED_SIGNAL",
        details: { signal: 11, signalName: "SIGSEGV" },
      });
      const [record] = await builds.service.queryBuildRecords({ text: result.recordId ?? "", limit: 1 });
      expect(record).toMatchObject({ status: "failed", signal: 11, outputs: {} });
    });

    test("a builder that is not there or not executable", async () => {
      const missing = await builds.build({ name: "no-builder", builder: "/nowhere/builder", args: [] });
      expect(missing.result.error).toMatchObject({
        code: "BUILD_BUILDER_NOT_EXECUTABLE",
        details: { path: "/nowhere/builder", errnoName: "ENOENT" },
      });
      const text = await builds.service.addSource(
        "plain",
        { kind: "source", references: [] },
        inPieces(fileNar("text")),
      );
      const plain = await builds.build({
        name: "plain-builder",
        builder: `${builds.directory}/${text.path}`,
        args: [],
        sources: [text.path],
      });
      expect(plain.result.error).toMatchObject({
        code: "BUILD_BUILDER_NOT_EXECUTABLE",
        details: { errnoName: "EACCES" },
      });
    });

    test("an output that was not made", async () => {
      const { result } = await builds.build({ name: "missing", outputs: ["out", "dev"], script: "echo 1 > $out" });
      expect(result.error).toMatchObject({ code: "BUILD_OUTPUT_MISSING", details: { outputId: "dev" } });
      expect(await builds.service.queryValidPaths(Object.values(result.outputs))).toEqual([]);
      await expectNothingLeft();
    });

    test("an output that cannot be a store object", async () => {
      const { result } = await builds.build({ name: "fifo", script: "mkdir $out; mkfifo $out/pipe" });
      expect(result.error).toMatchObject({
        code: "BUILD_OUTPUT_REFUSED",
        details: { outputId: "out", refusal: "OUTPUT_SPECIAL_FILE" },
      });
      expect(result.error?.message).toContain("/pipe");
      const open = await builds.build({ name: "open", script: "mkdir $out; chmod 777 $out" });
      expect(open.result.error).toMatchObject({
        code: "BUILD_OUTPUT_REFUSED",
        details: { refusal: "OUTPUT_TOP_WRITABLE" },
      });
      await expectNothingLeft();
    });

    test("outputs that refer to each other in a circle", async () => {
      const { result } = await builds.build({
        name: "circle",
        outputs: ["out", "dev"],
        script: "echo $dev > $out; echo $out > $dev",
      });
      expect(result.error).toMatchObject({ code: "BUILD_OUTPUT_CYCLE", details: { outputIds: ["dev", "out"] } });
    });

    test("time and silence limits", async () => {
      const slow = await builds.build(
        { name: "slow", script: "while :; do echo .; sleep 0.05; done" },
        { timeoutMs: 400 },
      );
      expect(slow.result.error).toMatchObject({ code: "BUILD_TIMED_OUT", details: { limitMs: 400 } });
      const silent = await builds.build({ name: "silent-build", script: "echo .; sleep 1000" }, { silenceMs: 300 });
      expect(silent.result.error).toMatchObject({ code: "BUILD_SILENT", details: { limitMs: 300 } });
    });

    test("what this machine cannot build is refused before anything runs", async () => {
      const cases = [
        [{ system: "riscv64-linux" }, "BUILD_SYSTEM_UNSUPPORTED"],
        [{ builder: "builtin:fetchurl", args: [] }, "BUILD_BUILTIN_UNSUPPORTED"],
        [{ variables: { requiredSystemFeatures: "quantum" } }, "BUILD_FEATURE_UNSUPPORTED"],
        [{ variables: { __world: "/cloister/store/00000000000000000000000000000000-world" } }, "BUILD_WORLD_NOT_INPUT"],
        [{ variables: { __world: "/etc" } }, "BUILD_WORLD_NOT_INPUT"],
        [{ variables: { exportReferencesGraph: "graph /etc" } }, "BUILD_ATTRIBUTE_INVALID"],
      ] as const;
      for (const [recipe, code] of cases) {
        const { result, events } = await builds.build({ name: "refused", script: "echo 1 > $out", ...recipe });
        expect(result.error?.code).toBe(code);
        expect(events.map(({ kind }) => kind)).toEqual(["plan", "build-finished"]);
      }
    });

    test("a cancelled build ends, and nothing of it is left", async () => {
      const abort = new AbortController();
      const derived = await builds.derive({ name: "endless", script: "mkdir $out; echo started; sleep 1000" });
      const built = builds.buildAll([derived.target], {
        signal: abort.signal,
        onEvent: (event) => event.kind === "build-log" && abort.abort(new Error("enough")),
      });
      await expect(built).rejects.toThrow("enough");
      const [record] = await builds.service.queryBuildRecords({ text: derived.drvPath, limit: 1 });
      expect(record).toMatchObject({ status: "cancelled", error: { code: "BUILD_CANCELLED" } });
      await expectNothingLeft();
      expect((await builds.service.status()).runningBuilds).toBe(0);
    });
  });

  describe("fixed outputs", () => {
    const flat = (contents: string): Output => ({ kind: "fixed", method: "flat", hash: sha256(contents) });

    test("one that keeps its promise is registered by its contents, without references", async () => {
      const { result } = await builds.build({ name: "fixed", outputs: { out: flat("1\n") }, script: "echo 1 > $out" });
      const info = await builds.service.queryPathInfo(result.outputs.out as StorePath);
      expect(info?.contentAddress).toEqual({ method: "flat", hash: sha256("1\n") });
      expect(info?.references.size).toBe(0);
    });

    test("another hash is an error with both in the form to paste", async () => {
      const { result } = await builds.build({
        name: "promise",
        outputs: { out: flat("1\n") },
        script: "echo 2 > $out",
      });
      expect(result.error).toMatchObject({
        code: "BUILD_OUTPUT_HASH_MISMATCH",
        details: { expected: printHash(sha256("1\n"), "sri"), got: printHash(sha256("2\n"), "sri") },
      });
      await expectNothingLeft();
    });

    test("a flat one must be a plain file", async () => {
      const { result } = await builds.build({ name: "flat", outputs: { out: flat("1\n") }, script: "mkdir $out" });
      expect(result.error).toMatchObject({ code: "BUILD_OUTPUT_REFUSED", details: { refusal: "TREE_NOT_FLAT" } });
    });

    test("one that names a store path is refused", async () => {
      const text = `${builds.directory}/${builds.busybox}\n`;
      const { result } = await builds.build({
        name: "naming",
        outputs: { out: flat(text) },
        script: `echo ${text.trim()} > $out`,
      });
      expect(result.error).toMatchObject({ code: "BUILD_REFERENCE_FORBIDDEN", details: { rule: "a fixed hash" } });
    });
  });

  describe("the record", () => {
    test("says who, how, from what, to what", async () => {
      const { result, drvPath } = await builds.build({
        name: "recorded",
        variables: { mine: "1" },
        script: "echo said; echo 1 > $out",
      });
      const [record] = await builds.service.queryBuildRecords({ text: result.recordId ?? "", limit: 1 });
      const status = await builds.service.status();
      expect(record).toMatchObject({
        id: result.recordId,
        drvPath,
        name: "recorded",
        user: { uid: process.getuid?.() },
        status: "done",
        command: [expect.stringMatching(/busybox$/), "sh", "-ec", "echo said; echo 1 > $out"],
        environment: { mine: "1", NIX_BUILD_TOP: "/build" },
        inputs: [builds.busybox],
        strength: status.strength,
        exitStatus: 0,
        outputs: { out: { path: result.outputs.out, narHash: expect.stringMatching(/^sha256:/), narSize: 120 } },
      });
      expect(record?.resources.wallMicroseconds).toBeGreaterThan(0);
      expect(record?.stoppedAtMs).toBeGreaterThanOrEqual(record?.startedAtMs ?? Number.NaN);
      expect(await builds.log(result.recordId)).toBe("said\n");
      const details = await builds.service.queryPathDetails(result.outputs.out as StorePath);
      expect(details?.record?.id).toBe(result.recordId);
      expect(details?.info.deriver).toBe(drvPath);
    });
  });

  test("a target that is no derivation is there or is not", async () => {
    const none = parseStorePath("00000000000000000000000000000000-none");
    const { results } = await builds.buildAll([
      { kind: "opaque", path: builds.busybox },
      { kind: "opaque", path: none },
    ]);
    expect(results[0]).toMatchObject({ drvPath: builds.busybox, status: "already-valid" });
    expect(results[1]).toMatchObject({ drvPath: none, status: "failed", error: { code: "BUILD_TARGET_NOT_VALID" } });
  });

  test("an output that the derivation has not is named with those that it has", async () => {
    const derived = await builds.derive({ name: "no-such-output", script: "echo 1 > $out" });
    const { result } = await builds.buildAll([{ ...derived.target, outputs: ["dev"] }]);
    expect(result.error).toMatchObject({ code: "BUILD_OUTPUT_UNKNOWN", details: { outputIds: ["out"] } });
  });
});
