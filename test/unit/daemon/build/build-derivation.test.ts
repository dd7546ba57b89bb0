import { lstatSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseStorePath, type StorePath } from "../../../../derivations/store-path.ts";
import { missingBusybox } from "../../../support/busybox.ts";
import { LocalBuilds } from "../../../support/local-builds.ts";

let builds: LocalBuilds;
const needsBusybox = "needs a static busybox (busybox-static)";

/** What this machine grants, and what every machine does. */
const strengths = ["auto", "single"] as const;

describe.skipIf(missingBusybox).each(strengths)(`builds in strength %s (${needsBusybox})`, (strength) => {
  beforeAll(async () => {
    builds = await LocalBuilds.open({ strength });
  });
  afterAll(() => builds?.[Symbol.asyncDispose]());

  describe("outputs", () => {
    test("a file, a directory, a symlink, and one that was removed and made again", async () => {
      const file = await builds.build({ name: "file", script: "echo hi > $out" });
      expect(file.result).toMatchObject({
        status: "built",
        outputs: { out: expect.stringMatching(/-file$/) },
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
