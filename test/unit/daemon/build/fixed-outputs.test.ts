import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { printHash, sha256 } from "../../../../derivations/hash.ts";
import type { Output } from "../../../../derivations/output.ts";
import type { StorePath } from "../../../../derivations/store-path.ts";
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
      await vi.waitFor(() => expect(builds.leftovers()).toEqual([]), 10_000);
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
});
