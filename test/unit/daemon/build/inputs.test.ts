import { describe, expect, test } from "vitest";
import type { BuildContext } from "../../../../daemon/build/context.ts";
import { findInputClosure, resolveDerivation } from "../../../../daemon/build/inputs.ts";
import { printDerivation } from "../../../../derivations/aterm.ts";
import { bytes, text } from "../../../../derivations/bytes.ts";
import { type Derivation, outputPathOf, referencesOf } from "../../../../derivations/derivation.ts";
import { fillOutputs } from "../../../../derivations/derivation-hash.ts";
import { makeUpstreamPlaceholder } from "../../../../derivations/placeholder.ts";
import { parseStorePath, printStorePath } from "../../../../derivations/store-path.ts";
import { addText } from "../../../../store/add.ts";
import { storeDirectory, temporaryStore } from "../../../support/temporary-store.ts";

const subject = { drvPath: "/cloister/store/x.drv", name: "x" };

function derivation(more: Partial<Derivation>): Derivation {
  return {
    name: "x",
    outputs: new Map([["out", { kind: "deferred" }]]),
    inputDerivations: new Map(),
    inputSources: new Set(),
    system: "x86_64-linux",
    builder: bytes("/b"),
    args: [],
    environment: new Map(),
    ...more,
  };
}

const noInputs = () => {
  throw new Error("there are no inputs");
};

describe("findInputClosure", () => {
  test("is all that sources refer to, dependencies first", async () => {
    await using temporary = await temporaryStore();
    const { store } = temporary;
    const low = await addText(store, "low", bytes("1"), []);
    const high = await addText(store, "high", bytes("2"), [low]);
    const context = { store } as Pick<BuildContext, "store"> as BuildContext;
    const { inOrder, all } = findInputClosure(context, subject, derivation({ inputSources: new Set([high]) }));
    expect(inOrder).toEqual([low, high]);
    expect([...all]).toEqual([low, high]);
  });

  test("a source or an output that is not valid is an error that names it", async () => {
    await using temporary = await temporaryStore();
    const { store } = temporary;
    const context = { store } as Pick<BuildContext, "store"> as BuildContext;
    const missing = parseStorePath("00000000000000000000000000000000-missing");
    expect(() => findInputClosure(context, subject, derivation({ inputSources: new Set([missing]) }))).toThrow(
      expect.objectContaining({
        code: "BUILD_INPUT_MISSING",
        details: expect.objectContaining({ path: printStorePath(storeDirectory, missing) }),
      }),
    );
    const input = fillOutputs(storeDirectory, derivation({ name: "input" }), noInputs);
    const drvPath = await addText(store, "input.drv", printDerivation(storeDirectory, input), referencesOf(input));
    const user = derivation({ inputDerivations: new Map([[drvPath, new Set(["out"])]]) });
    expect(() => findInputClosure(context, subject, user)).toThrow(
      expect.objectContaining({ details: expect.objectContaining({ path: `${storeDirectory}/${drvPath}^out` }) }),
    );
  });
});

describe("resolveDerivation", () => {
  test("paths take the place of placeholders, and make the outputs' paths known", () => {
    const drvPath = parseStorePath("11111111111111111111111111111111-input.drv");
    const path = parseStorePath("22222222222222222222222222222222-input");
    const placeholder = makeUpstreamPlaceholder(drvPath, "out");
    const before = derivation({
      inputDerivations: new Map([[drvPath, new Set(["out"])]]),
      args: [bytes(`--input=${placeholder}/bin`)],
      environment: new Map([
        ["input", bytes(placeholder)],
        ["out", bytes("")],
      ]),
    });
    const resolved = resolveDerivation(storeDirectory, before, [{ drvPath, outputId: "out", path }]);
    expect(resolved.inputDerivations.size).toBe(0);
    expect([...resolved.inputSources]).toEqual([path]);
    expect(resolved.args.map(text)).toEqual([`--input=${storeDirectory}/${path}/bin`]);
    expect(text(resolved.environment.get("input") ?? bytes(""))).toBe(`${storeDirectory}/${path}`);
    const out = outputPathOf(storeDirectory, resolved, "out");
    expect(out).toMatch(/-x$/);
    expect(text(resolved.environment.get("out") ?? bytes(""))).toBe(`${storeDirectory}/${out}`);
  });
});
