import { describe, expect, test } from "vitest";
import { readAttributes } from "../../../../daemon/build/attributes.ts";
import { bytes } from "../../../../derivations/bytes.ts";
import type { Derivation } from "../../../../derivations/derivation.ts";

function withVariables(variables: Record<string, string | Uint8Array>): Derivation {
  return {
    name: "x",
    outputs: new Map([["out", { kind: "deferred" }]]),
    inputDerivations: new Map(),
    inputSources: new Set(),
    system: "x86_64-linux",
    builder: bytes("/b"),
    args: [],
    environment: new Map(
      Object.entries(variables).map(([name, value]) => [name, typeof value === "string" ? bytes(value) : value]),
    ),
  };
}

const read = (variables: Record<string, string | Uint8Array>) => readAttributes("/s/x.drv", withVariables(variables));
const structured = (attributes: unknown) => read({ __json: JSON.stringify(attributes) });

describe("plain variables", () => {
  test("a derivation without any of them asks for nothing", () => {
    const attributes = read({ out: "/s/out" });
    expect(attributes).toMatchObject({
      standalone: false,
      passAsFile: [],
      graphExports: [],
      requiredSystemFeatures: [],
    });
    expect(attributes.world).toBeUndefined();
    expect(attributes.checksOf("out").allowedReferences).toBeUndefined();
  });

  test("lists are words between any white space", () => {
    const attributes = read({
      passAsFile: " a  b\n",
      requiredSystemFeatures: "kvm\tbig-parallel",
      impureEnvVars: "http_proxy",
      allowedReferences: "",
      disallowedRequisites: "/s/a out",
    });
    expect(attributes.passAsFile).toEqual(["a", "b"]);
    expect(attributes.requiredSystemFeatures).toEqual(["kvm", "big-parallel"]);
    expect(attributes.impureVariables).toEqual(["http_proxy"]);
    expect(attributes.checksOf("out").allowedReferences).toEqual([]); // nothing is allowed, which is not the same as no check
    expect(attributes.checksOf("dev").disallowedRequisites).toEqual(["/s/a", "out"]);
  });

  test("a world, and whether the outputs stand alone", () => {
    expect(read({ __world: "/s/w" })).toMatchObject({ world: "/s/w", standalone: false });
    expect(read({ __world: "/s/w", __standalone: "1" })).toMatchObject({ standalone: true });
    expect(read({ __world: "" }).world).toBeUndefined();
  });

  test("exportReferencesGraph is pairs of a file name and a path", () => {
    expect(read({ exportReferencesGraph: "one /s/a two /s/b" }).graphExports).toEqual([
      { name: "one", paths: ["/s/a"] },
      { name: "two", paths: ["/s/b"] },
    ]);
    for (const value of ["one", "../one /s/a", "a/b /s/a", ". /s/a"])
      expect(() => read({ exportReferencesGraph: value })).toThrow(
        expect.objectContaining({ code: "BUILD_ATTRIBUTE_INVALID" }),
      );
  });

  test("a value that is not UTF-8 is refused where text is needed", () => {
    expect(() => read({ passAsFile: Uint8Array.of(0xff) })).toThrow(/passAsFile.*not UTF-8/);
  });
});

describe("structured attributes", () => {
  test("lists are lists, and checks are per output", () => {
    const attributes = structured({
      requiredSystemFeatures: ["kvm"],
      __world: "/s/w",
      __standalone: true,
      exportReferencesGraph: { graph: ["/s/a", "/s/b"], single: "/s/c" },
      outputChecks: { out: { allowedReferences: ["dev"], maxSize: 1000, ignoreSelfRefs: false } },
      unsafeDiscardReferences: { out: true },
    });
    expect(attributes.requiredSystemFeatures).toEqual(["kvm"]);
    expect(attributes).toMatchObject({ world: "/s/w", standalone: true });
    expect(attributes.graphExports).toEqual([
      { name: "graph", paths: ["/s/a", "/s/b"] },
      { name: "single", paths: ["/s/c"] },
    ]);
    expect(attributes.checksOf("out")).toMatchObject({
      allowedReferences: ["dev"],
      maxSize: 1000n,
      ignoreSelfReferences: false,
    });
    expect(attributes.checksOf("dev")).toEqual({
      disallowedReferences: [],
      disallowedRequisites: [],
      ignoreSelfReferences: true,
    });
    expect([attributes.discardsReferences("out"), attributes.discardsReferences("dev")]).toEqual([true, false]);
  });

  test.each([
    ["not JSON", "{"],
    ["no object", "[]"],
    ["nested 257 levels deep", `{"a":${"[".repeat(256)}${"]".repeat(256)}}`],
  ])("%s is refused", (_, json) => {
    expect(() => read({ __json: json })).toThrow(expect.objectContaining({ code: "BUILD_ATTRIBUTE_INVALID" }));
  });

  test.each([
    [{ requiredSystemFeatures: "kvm" }, /requiredSystemFeatures/],
    [{ outputChecks: { out: 1 } }, /outputChecks/],
    [{ outputChecks: { out: { maxSize: -1 } } }, /maxSize/],
    [{ __world: 7 }, /__world/],
  ])("%j is refused by the name of what is wrong", (attributes, message) => {
    expect(() => structured(attributes).checksOf("out")).toThrow(message);
  });
});
