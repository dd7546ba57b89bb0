import { describe, expect, test } from "vitest";
import { bytes } from "../../../derivations/bytes.ts";
import { type Derivation, outputPathOf, validateDerivation } from "../../../derivations/derivation.ts";
import { sha256 } from "../../../derivations/hash.ts";
import type { Output } from "../../../derivations/output.ts";
import { parseStorePath } from "../../../derivations/store-path.ts";
import { storeDirectory } from "./arbitraries.ts";
import { refusalOf } from "./refusal.ts";

const path = parseStorePath("0c0zq1jbyrs9cq5gsnbxbp3yqmjlxw4m-a");
const drvPath = parseStorePath("0c0zq1jbyrs9cq5gsnbxbp3yqmjlxw4m-a.drv");
const plain: Derivation = {
  name: "a",
  outputs: new Map<string, Output>([["out", { kind: "deferred" }]]),
  inputDerivations: new Map([[drvPath, new Set(["out"])]]),
  inputSources: new Set([path]),
  system: "x86_64-linux",
  builder: bytes("/bin/sh"),
  args: [bytes("-c")],
  environment: new Map([["x", bytes("y")]]),
};
const fixed: Output = { kind: "fixed", method: "flat", hash: sha256("") };
const outputs = (...entries: [string, Output][]) => ({ outputs: new Map(entries) });

describe("a derivation", () => {
  test("is valid as most are, and up to the longest name", () => {
    expect(() => validateDerivation(plain)).not.toThrow();
    expect(() => validateDerivation({ ...plain, name: "x".repeat(207) })).not.toThrow();
  });

  test.each<[string, Partial<Derivation>, string]>([
    ["no outputs", outputs(), "DERIVATION_INVALID"],
    [
      "outputs of several kinds",
      outputs(["out", { kind: "deferred" }], ["dev", { kind: "input-addressed", path }]),
      "DERIVATION_INVALID",
    ],
    ["a fixed output beside another", outputs(["out", fixed], ["dev", fixed]), "DERIVATION_INVALID"],
    ["a fixed output of another id", outputs(["dev", fixed]), "DERIVATION_INVALID"],
    ["an output without a name", outputs(["", { kind: "deferred" }]), "STORE_PATH_NAME_INVALID"],
    ["a name too long for its .drv", { name: "x".repeat(208) }, "STORE_PATH_NAME_INVALID"],
    ["a name that ends with .drv", { name: "a.drv" }, "DERIVATION_INVALID"],
    [
      "an input derivation that is none",
      { inputDerivations: new Map([[path, new Set(["out"])]]) },
      "DERIVATION_INVALID",
    ],
    [
      "an input that it uses nothing of",
      { inputDerivations: new Map([[drvPath, new Set<string>()]]) },
      "DERIVATION_INVALID",
    ],
    ["a NUL byte in its builder", { builder: bytes("/bin/sh\0") }, "DERIVATION_INVALID"],
    ["a NUL byte in an argument", { args: [bytes("a"), bytes("\0")] }, "DERIVATION_INVALID"],
    ["a NUL byte in a variable", { environment: new Map([["x", bytes("a\0b")]]) }, "DERIVATION_INVALID"],
    ["a variable without a name", { environment: new Map([["", bytes("")]]) }, "DERIVATION_INVALID"],
    ["a variable named by an assignment", { environment: new Map([["PATH=x", bytes("")]]) }, "DERIVATION_INVALID"],
  ])("is refused with %s", (_, change, code) => {
    expect(refusalOf(() => validateDerivation({ ...plain, ...change })).code).toBe(code);
  });

  test("tells an output's path if it is known before a build", () => {
    const pathOf = (output: Output) => outputPathOf(storeDirectory, { ...plain, ...outputs(["out", output]) }, "out");
    expect(pathOf({ kind: "input-addressed", path })).toBe(path);
    expect(pathOf(fixed)).toMatch(/^[0-9a-z]{32}-a$/);
    expect(pathOf({ kind: "deferred" })).toBeUndefined();
    expect(pathOf({ kind: "floating", method: "flat", algorithm: "md5" })).toBeUndefined();
    expect(outputPathOf(storeDirectory, plain, "dev")).toBeUndefined();
  });
});
