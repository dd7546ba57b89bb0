import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { missingBusybox } from "../../../support/busybox.ts";
import { LocalBuilds } from "../../../support/local-builds.ts";
import { fileNar, inPieces } from "../../../support/temporary-store.ts";

let builds: LocalBuilds;
const needsBusybox = "needs a static busybox (busybox-static)";

/** What this machine grants, and what every machine does. */
const strengths = ["auto", "single"] as const;

describe.skipIf(missingBusybox).each(strengths)(`failing builds in strength %s (${needsBusybox})`, (strength) => {
  beforeAll(async () => {
    builds = await LocalBuilds.open({ strength });
  });
  afterAll(() => builds?.[Symbol.asyncDispose]());

  /** Some time soon: nobody waits for what a build has left to be removed. */
  const expectNothingLeft = () => vi.waitFor(() => expect(builds.leftovers()).toEqual([]), 10_000);

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
});
