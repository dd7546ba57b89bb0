import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type DerivedPath, parseDerivedPath, printDerivedPath } from "../../../derivations/derived-path.ts";
import { storeDirectory, storePath } from "./arbitraries.ts";
import { refusalOf } from "./refusal.ts";

const drv = "/cloister/store/0c0zq1jbyrs9cq5gsnbxbp3yqmjlxw4m-a.drv";
const derivedPath: fc.Arbitrary<DerivedPath> = fc.oneof(
  storePath().map((path) => ({ kind: "opaque" as const, path })),
  fc.record({
    kind: fc.constant("built" as const),
    drvPath: storePath(".drv"),
    outputs: fc.oneof(
      fc.constant("all" as const),
      fc.uniqueArray(fc.stringMatching(/^[a-z]{1,5}$/), { minLength: 1, maxLength: 4 }),
    ),
  }),
);

describe("a derived path", () => {
  test("is read back from what is printed, with both separators", () => {
    fc.assert(
      fc.property(derivedPath, fc.constantFrom("^" as const, "!" as const), (derived, separator) => {
        expect(
          parseDerivedPath(storeDirectory, printDerivedPath(storeDirectory, derived, separator), separator),
        ).toEqual(derived);
      }),
    );
  });

  test("is written as Nix does", () => {
    expect(parseDerivedPath(storeDirectory, `${drv}^out,dev`)).toMatchObject({
      kind: "built",
      outputs: ["out", "dev"],
    });
    expect(parseDerivedPath(storeDirectory, `${drv}^*`)).toMatchObject({ kind: "built", outputs: "all" });
    expect(parseDerivedPath(storeDirectory, drv)).toMatchObject({ kind: "opaque" });
  });

  test.each([
    [`${drv}^`, "STORE_PATH_NAME_INVALID"],
    [`${drv}^out,`, "STORE_PATH_NAME_INVALID"],
    [`${drv}^out,out`, "DERIVED_PATH_INVALID"],
    [`${drv.replace(".drv", "")}^out`, "DERIVED_PATH_INVALID"],
    [`${drv}^out^out`, "STORE_PATH_NAME_INVALID"],
    ["", "STORE_PATH_INVALID"],
  ])("is refused as %s", (derived, code) => {
    expect(refusalOf(() => parseDerivedPath(storeDirectory, derived)).code).toBe(code);
  });
});
