import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Output } from "../../../../derivations/output.ts";
import { missingBusybox } from "../../../support/busybox.ts";
import { type Derived, LocalBuilds } from "../../../support/local-builds.ts";
import { directoryNar, inPieces } from "../../../support/temporary-store.ts";

let builds: LocalBuilds;
let low: Derived;
let high: Derived;

describe.skipIf(missingBusybox)("references (needs a static busybox (busybox-static))", () => {
  beforeAll(async () => {
    builds = await LocalBuilds.open();
    low = await builds.build({ name: "low", script: "echo 1 > $out" });
    high = await builds.build({
      name: "high",
      inputs: [low],
      variables: { low: low.out() },
      script: "echo $low > $out",
    });
  });
  afterAll(() => builds?.[Symbol.asyncDispose]());

  /** Builds something that refers to `high` and itself, with these attributes. */
  const check = async (variables: Record<string, string>) => {
    const { result } = await builds.build({
      name: "checked",
      outputs: ["out", "dev"],
      inputs: [low, high],
      variables: { high: high.out(), ...variables },
      script: "echo $high $out > $out; echo $out > $dev",
    });
    return result;
  };

  describe("allowed and disallowed", () => {
    test("what the attributes allow passes", async () => {
      const result = await check({
        allowedReferences: `${high.out()} out`,
        allowedRequisites: `${high.out()} ${low.out()} out`,
        disallowedReferences: low.out(),
      });
      expect(result.error).toBeUndefined();
    });

    test.each([
      ["allowedReferences", () => high.out(), "itself"],
      ["allowedReferences", () => "out", "high"],
      ["allowedRequisites", () => `${high.out()} out`, "low"],
      ["disallowedReferences", () => high.out(), "high"],
      ["disallowedReferences", () => "out", "itself"],
      ["disallowedRequisites", () => low.out(), "low"],
    ])("%s refuses %s, and names %s", async (rule, value, forbidden) => {
      const result = await check({ [rule]: value() });
      const own = (id: string) => result.error?.message.includes(id);
      expect(result.error).toMatchObject({ code: "BUILD_REFERENCE_FORBIDDEN", details: { rule } });
      const references = result.error?.details.references as string[];
      if (forbidden === "low") expect(references).toContain(low.out());
      if (forbidden === "high") expect(references).toContain(high.out());
      if (forbidden === "itself") expect(references).toEqual([expect.stringMatching(/-checked$/)]);
      expect(own("out") || own("dev")).toBe(true);
    });

    test("a check that names nothing is an error of its own", async () => {
      expect((await check({ allowedReferences: "nothing-of-this-name" })).error).toMatchObject({
        code: "BUILD_ATTRIBUTE_INVALID",
        details: { attribute: "allowedReferences" },
      });
    });

    test("outputChecks are per output, and know sizes", async () => {
      const structured = async (outputChecks: unknown) => {
        const json = JSON.stringify({ outputChecks, high: high.out() });
        const { result } = await builds.build({
          name: "structured",
          inputs: [high],
          variables: { __json: json },
          script: 'grep -o "/[^\\"]*-structured" $NIX_ATTRS_JSON_FILE > o; for p in $(cat o); do echo $p > $p; done',
        });
        return result;
      };
      expect((await structured({ out: { allowedReferences: [] } })).error).toBeUndefined(); // a reference to itself is no concern
      expect((await structured({ out: { allowedReferences: [], ignoreSelfRefs: false } })).error?.code).toBe(
        "BUILD_REFERENCE_FORBIDDEN",
      );
      expect((await structured({ out: { maxSize: 10 } })).error).toMatchObject({
        code: "BUILD_OUTPUT_TOO_BIG",
        details: { rule: "maxSize", limitBytes: 10 },
      });
    });
  });

  describe("the world", () => {
    const world = async () => {
      const tree = directoryNar({ marker: "a world\n" });
      return (await builds.service.addSource("world", { kind: "source", references: [] }, inPieces(tree))).path;
    };

    test("an output that was built in a world refers to it, though its contents do not", async () => {
      const path = await world();
      const { result } = await builds.build({
        name: "in-world",
        sources: [path],
        variables: { __world: `${builds.directory}/${path}` },
        script: "cat /marker > $out",
      });
      expect(await builds.read(result.outputs.out)).toBe("a world\n");
      expect(await builds.references(result.outputs.out)).toEqual([path]);
    });

    test("one that stands alone does not, and checks do not see the world", async () => {
      const path = await world();
      const recipe = { sources: [path], script: "cat /marker > $out" };
      const variables = { __world: `${builds.directory}/${path}` };
      const alone = await builds.build({ name: "alone", ...recipe, variables: { ...variables, __standalone: "1" } });
      expect(await builds.references(alone.result.outputs.out)).toEqual([]);
      const checked = await builds.build({
        name: "checked",
        ...recipe,
        variables: { ...variables, allowedReferences: "" },
      });
      expect(checked.result.error).toBeUndefined();
      expect(await builds.references(checked.result.outputs.out)).toEqual([path]);
    });

    test("a form without room for references must stand alone", async () => {
      const path = await world();
      const flat: Output = { kind: "floating", method: "flat", algorithm: "sha256" };
      const recipe = { outputs: { out: flat }, sources: [path], script: "cat /marker > $out" };
      const variables = { __world: `${builds.directory}/${path}` };
      const refused = await builds.build({ name: "flat", ...recipe, variables });
      expect(refused.result.error?.code).toBe("BUILD_WORLD_NOT_ADMITTED");
      const alone = await builds.build({ name: "flat", ...recipe, variables: { ...variables, __standalone: "1" } });
      expect(alone.result.error).toBeUndefined();
    });
  });
});
