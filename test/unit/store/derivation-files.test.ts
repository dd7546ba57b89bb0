/** The .drv files of a store: let in only if they are right. */
import { expect, test } from "vitest";
import { printDerivation } from "../../../derivations/aterm.ts";
import { bytes } from "../../../derivations/bytes.ts";
import { type Derivation, referencesOf } from "../../../derivations/derivation.ts";
import { fillOutputs, hashDerivations, makeHashOfInput } from "../../../derivations/derivation-hash.ts";
import type { StorePath } from "../../../derivations/store-path.ts";
import { addSource, addText } from "../../../store/add.ts";
import { fileNar, inPieces, storeDirectory, temporaryStore } from "../../support/temporary-store.ts";

const source = { kind: "source", references: [] } as const;

test("a derivation has its known outputs as rows; a wrong one is refused", async () => {
  await using temporary = await temporaryStore();
  const { store } = temporary;
  const memo = new Map();
  const drvs = new Map<StorePath, Derivation>();
  const add = async (derivation: Derivation, references = referencesOf(derivation)) => {
    for (const input of derivation.inputDerivations.keys())
      hashDerivations(storeDirectory, input, (path) => drvs.get(path) as Derivation, memo);
    const filled = fillOutputs(storeDirectory, derivation, makeHashOfInput(memo));
    const text = printDerivation(storeDirectory, filled);
    const path = await addText(store, `${derivation.name}.drv`, text, references);
    drvs.set(path, filled);
    return { path, filled, text };
  };
  const src = (await addSource(store, "src", source, inPieces(fileNar("int main;")))).path;
  const first = await add(derivation("first", ["out", "dev"], new Map(), new Set([src])));
  const second = await add(derivation("second", ["out"], new Map([[first.path, new Set(["dev"])]]), new Set()));

  const outputs = store.derivationOutputs(first.path);
  expect([...outputs.keys()].sort()).toEqual(["dev", "out"]);
  const out = outputs.get("out") as StorePath;
  expect(first.filled.outputs.get("out")).toMatchObject({ path: out });
  expect(store.validDerivers(out)).toEqual([first.path]);
  expect(store.graph.references(second.path)).toEqual([first.path]);

  const wrong = bytes(Buffer.from(first.text).toString().replaceAll(out.slice(0, 32), "0".repeat(32)));
  await expect(addText(store, "first.drv", wrong, [src])).rejects.toMatchObject({
    code: "DERIVATION_OUTPUT_MISMATCH",
  });
  await expect(addText(store, "first.drv", first.text, [])).rejects.toMatchObject({
    code: "STORE_DERIVATION_REFERENCES",
  });
  await expect(addText(store, "x.drv", bytes("Derive(["), [])).rejects.toMatchObject({ code: "ATERM_INVALID" });
  expect(store.graph.size).toBe(3);

  expect(store.derivations.get(second.path)).toBe(store.derivations.get(second.path));
  await temporary.close();
  const again = await temporary.open();
  expect(again.derivations.get(second.path).inputDerivations).toEqual(second.filled.inputDerivations);
  await addText(again, "third.drv", printDerivation(storeDirectory, third(second.path)), [second.path]); // reads its inputs
  expect(() => again.derivations.get(src)).toThrow(expect.objectContaining({ code: "STORE_PATH_NOT_VALID" }));

  function third(input: StorePath): Derivation {
    hashDerivations(storeDirectory, input, (path) => drvs.get(path) as Derivation, memo);
    const unfilled = derivation("third", ["out"], new Map([[input, new Set(["out"])]]), new Set());
    return fillOutputs(storeDirectory, unfilled, makeHashOfInput(memo));
  }
});

function derivation(
  name: string,
  outputIds: readonly string[],
  inputDerivations: Derivation["inputDerivations"],
  inputSources: ReadonlySet<StorePath>,
): Derivation {
  return {
    name,
    outputs: new Map(outputIds.map((id) => [id, { kind: "deferred" }])),
    inputDerivations,
    inputSources,
    system: "x86_64-linux",
    builder: bytes("/bin/sh"),
    args: [],
    environment: new Map([["name", bytes(name)]]),
  };
}
