import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseDerivation } from "../../../derivations/aterm.ts";
import { bytes, findText } from "../../../derivations/bytes.ts";
import { type DerivationJson, parseDerivationJson, printDerivationJson } from "../../../derivations/derivation-json.ts";
import { derivationNameOf } from "../../../derivations/placeholder.ts";
import { parseStoreDirectory, parseStorePath } from "../../../derivations/store-path.ts";
import { derivation, storeDirectory } from "./arbitraries.ts";
import { golden } from "./golden.ts";
import { refusalOf } from "./refusal.ts";

interface GoldenDerivations {
  readonly derivations: readonly { readonly path: string; readonly aterm: string; readonly json: DerivationJson }[];
}

const nix = parseStoreDirectory("/nix/store");
const plain = {
  version: 4,
  name: "a",
  system: "x86_64-linux",
  builder: "/bin/sh",
  args: [],
  env: {},
  inputs: { drvs: {}, srcs: [] },
  outputs: { out: {} },
};

describe("a derivation's JSON", () => {
  test("is what nix derivation show prints, and is read back", () => {
    for (const { path, aterm, json } of golden<GoldenDerivations>("derivations-nix.json").derivations) {
      const read = parseDerivation(nix, derivationNameOf(parseStorePath(path)), bytes(aterm));
      expect(JSON.parse(JSON.stringify(printDerivationJson(read)))).toEqual(json);
      expect(parseDerivationJson(nix, json)).toEqual(read);
    }
  });

  test("gives any derivation back whose values are text", () => {
    fc.assert(
      fc.property(derivation, (value) => {
        const values = [value.builder, ...value.args, ...value.environment.values()];
        if (values.some((one) => findText(one) === undefined)) {
          expect(refusalOf(() => printDerivationJson(value)).code).toBe("DERIVATION_JSON_INVALID");
          return;
        }
        const json = JSON.parse(JSON.stringify(printDerivationJson(value)));
        expect(parseDerivationJson(storeDirectory, json)).toEqual(value);
      }),
      { numRuns: 300 },
    );
  });

  test.each([
    ['{"a":1,"b":[true,null]}', true],
    ['{"big":9007199254740993}', false],
    ['{ "a": 1}', false],
    ['{"b":1,"a":1}', false],
    ["[]", false],
    ["not json", false],
  ])("keeps structured attributes %s without loss", (attributes, isStructured) => {
    const value = { ...parseDerivationJson(nix, plain), environment: new Map([["__json", bytes(attributes)]]) };
    const json = printDerivationJson(value);
    expect("structuredAttrs" in json).toBe(isStructured);
    expect(parseDerivationJson(nix, JSON.parse(JSON.stringify(json)))).toEqual(value);
  });

  test.each([
    ["version", { version: 3 }],
    ["name", { name: 1 }],
    ["args[1]", { args: ["a", 1] }],
    ["args", { args: "a" }],
    ["env.x", { env: { x: 1 } }],
    ["env.x", { env: { x: "\ud800" } }],
    ["env", { env: [] }],
    ["inputs.srcs", { inputs: { drvs: {}, srcs: ["/nix/store/x"] } }],
    ["inputs.drvs", { inputs: { drvs: { x: { outputs: ["out"] } }, srcs: [] } }],
    [
      "inputs.drvs.x.dynamicOutputs",
      { inputs: { drvs: { x: { outputs: ["out"], dynamicOutputs: { out: {} } } }, srcs: [] } },
    ],
    ["outputs.out", { outputs: { out: { hash: "sha256-x" } } }],
    ["outputs.out.method", { outputs: { out: { method: "git", hashAlgo: "sha256" } } }],
    ["outputs.out.hash", { outputs: { out: { method: "flat", hash: "sha256-x" } } }],
    ["outputs.out.hashAlgo", { outputs: { out: { method: "flat", hashAlgo: "constructor" } } }],
    ["structuredAttrs", { structuredAttrs: [] }],
    ["structuredAttrs", { structuredAttrs: {}, env: { __json: "{}" } }],
  ])("is refused with the field %s", (field, change) => {
    expect(refusalOf(() => parseDerivationJson(nix, { ...plain, ...change }))).toMatchObject({
      code: "DERIVATION_JSON_INVALID",
      details: { field },
    });
  });

  test("is refused if it is no object or lacks a field", () => {
    for (const json of [null, [], "x", 1, {}])
      expect(refusalOf(() => parseDerivationJson(nix, json)).code).toBe("DERIVATION_JSON_INVALID");
    for (const field of Object.keys(plain))
      expect(refusalOf(() => parseDerivationJson(nix, { ...plain, [field]: undefined })).code).toBe(
        "DERIVATION_JSON_INVALID",
      );
    expect(
      refusalOf(() =>
        parseDerivationJson(nix, { ...plain, outputs: { out: { impure: true, method: "nar", hashAlgo: "sha256" } } }),
      ).code,
    ).toBe("DERIVATION_IMPURE_UNSUPPORTED");
  });
});
