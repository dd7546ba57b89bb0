import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { printHash, sha256 } from "../../../../derivations/hash.ts";
import type { Output } from "../../../../derivations/output.ts";
import type { StorePath } from "../../../../derivations/store-path.ts";
import { findPasta, findWhyNoWayOut } from "../../../../sandbox-native/way-out.ts";
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

    test("one that keeps its promise without a network is built where there is none, and one that fails says why", async () => {
      await using offline = await LocalBuilds.open({ strength, network: { pasta: "" } });
      const interfaces = "cat /proc/net/dev | busybox sed -n 's/:.*//p' | busybox tr -d ' \\n' > $out";
      const made = await offline.build({ name: "offline", outputs: { out: flat("lo") }, script: interfaces });
      expect(made.result).toMatchObject({ status: "built" });
      const [record] = await offline.service.queryBuildRecords({ text: made.result.recordId ?? "", limit: 1 });
      expect(record?.offline).toBe("pasta is not installed");
      const { result } = await offline.build({ name: "fails", outputs: { out: flat("1\n") }, script: "exit 7" });
      const details = { code: 7, reason: "pasta is not installed", remedy: "sudo apt-get install passt" };
      expect(result.error).toMatchObject({ code: "BUILD_FAILED_OFFLINE", details });
      const plain = await offline.build({ name: "plain", script: "exit 7" });
      expect(plain.result.error).toMatchObject({ code: "BUILD_FAILED_EXIT" });
    });

    test("where a network is required and there is none, nothing is built", async () => {
      await using required = await LocalBuilds.open({ strength, network: { mode: "required", pasta: "" } });
      const { result } = await required.build({ name: "r", outputs: { out: flat("1\n") }, script: "echo 1 > $out" });
      expect(result.error).toMatchObject({
        code: "BUILD_NETWORK_UNAVAILABLE",
        details: { remedy: "sudo apt-get install passt" },
      });
      const plain = await required.build({ name: "plain", script: "echo 1 > $out" });
      expect(plain.result).toMatchObject({ status: "built" });
    });

    test("only fixed outputs have a way out, and none where the daemon is told so", async ({ skip }) => {
      const missing = findWhyNoWayOut(findPasta(), (await builds.service.status()).strength);
      skip(missing !== undefined, `needs a way out: ${missing?.reason} (${missing?.remedy})`);
      const script = "busybox grep -q eth0: /proc/net/dev && echo out > $out || echo none > $out";
      const fixed = await builds.build({ name: "fixed-net", outputs: { out: flat("out\n") }, script });
      expect(fixed.result).toMatchObject({ status: "built" });
      const plain = await builds.build({ name: "plain-net", script });
      expect(await builds.read(plain.result.outputs.out)).toBe("none\n");
      await using none = await LocalBuilds.open({ strength, network: { mode: "none" } });
      const without = await none.build({ name: "none-net", outputs: { out: flat("none\n") }, script });
      expect(without.result).toMatchObject({ status: "built" });
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
