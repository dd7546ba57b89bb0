import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { missingBusybox } from "../../../support/busybox.ts";
import { LocalBuilds } from "../../../support/local-builds.ts";

let builds: LocalBuilds;

describe.skipIf(missingBusybox)("check (needs a static busybox (busybox-static))", () => {
  beforeAll(async () => {
    builds = await LocalBuilds.open();
  });
  afterAll(() => builds?.[Symbol.asyncDispose]());

  test("a builder that does the same twice passes, and is really run twice", async () => {
    const { target, result } = await builds.build({ name: "same", script: "echo built; echo 1 > $out" });
    const check = await builds.buildAll([target], { mode: "check" });
    expect(check.result).toMatchObject({ status: "built", outputs: result.outputs });
    expect(check.events.some(({ kind }) => kind === "build-log")).toBe(true);
    expect(check.result.recordId).not.toBe(result.recordId);
    expect(check.result.verdict).toMatchObject({ finding: "same", rounds: 2 });

    const many = await builds.buildAll([target], { mode: "check", rounds: 4 });
    expect(many.events.filter(({ kind }) => kind === "build-started")).toHaveLength(3);
    expect(many.result.verdict).toMatchObject({ finding: "same", rounds: 4 });
    const [record] = await builds.service.queryBuildRecords({ text: many.result.recordId ?? "", limit: 1 });
    expect(record).toMatchObject({ status: "done", verdict: many.result.verdict });
  });

  test("one that does not is an error that names the files, and the second output is kept beside the first", async () => {
    const { target, result } = await builds.build({
      name: "random",
      script: "mkdir -p $out/a; cat /proc/sys/kernel/random/uuid > $out/a/uuid; echo 1 > $out/same",
    });
    const { out } = result.outputs;
    const first = await builds.read(out, "a/uuid");
    const check = await builds.buildAll([target], { mode: "check" });
    expect(check.result).toMatchObject({
      status: "failed",
      error: {
        code: "BUILD_NOT_DETERMINISTIC",
        details: {
          outputId: "out",
          second: `${builds.directory}/${out}.check`,
          files: [
            expect.stringMatching(/^a\/uuid: other contents from byte \d+ on, "[0-9a-f-]{36}" and "[0-9a-f-]{36}"$/),
          ],
        },
      },
      verdict: { finding: "unsteady", rounds: 2, varied: [], causes: [], outputs: { out: { path: out } } },
    });
    const { narHash, otherNarHash } = check.result.verdict?.outputs["out"] ?? {};
    expect(narHash).not.toBe(otherNarHash);
    const [record] = await builds.service.queryBuildRecords({ text: check.result.recordId ?? "", limit: 1 });
    expect(record).toMatchObject({ status: "failed", verdict: check.result.verdict });
    expect(await builds.read(out, "a/uuid"), "the first output is as it was").toBe(first);
    const kept = join(builds.realStoreDirectory, `${out}.check`);
    const second = readFileSync(join(kept, "a/uuid"), "utf8");
    expect(second).not.toBe(first);

    await builds.buildAll([target], { mode: "check" });
    expect(readFileSync(join(kept, "a/uuid"), "utf8"), "each check replaces what the last one kept").not.toBe(second);
  });

  test("what is not there is built first", async () => {
    const derived = await builds.derive({ name: "fresh", script: "echo 1 > $out" });
    const { result, events } = await builds.buildAll([derived.target], { mode: "check" });
    expect(result.status).toBe("built");
    expect(events.filter(({ kind }) => kind === "build-started")).toHaveLength(2);
    expect(existsSync(join(builds.realStoreDirectory, `${result.outputs.out}.check`))).toBe(false);
  });
});
