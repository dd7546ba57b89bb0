import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseDerivation } from "../../../derivations/aterm.ts";
import { bytes, text } from "../../../derivations/bytes.ts";
import { type Derivation, derivationPath, outputPathOf } from "../../../derivations/derivation.ts";
import {
  checkOutputs,
  type DerivationModulo,
  fillOutputs,
  hashDerivations,
  makeHashOfInput,
} from "../../../derivations/derivation-hash.ts";
import { sha256 } from "../../../derivations/hash.ts";
import type { Output } from "../../../derivations/output.ts";
import { derivationNameOf, makePlaceholder } from "../../../derivations/placeholder.ts";
import {
  parseStoreDirectory,
  parseStorePath,
  printStorePath,
  type StorePath,
} from "../../../derivations/store-path.ts";
import { derivation as anyDerivation, storeDirectory } from "./arbitraries.ts";
import { golden } from "./golden.ts";
import { refusalOf } from "./refusal.ts";

interface GoldenDerivations {
  readonly storeDirectory: string;
  readonly derivations: readonly { readonly path: string; readonly aterm: string }[];
}

/** Derivations by path, as a store has them. */
class Shelf {
  readonly #derivations = new Map<StorePath, Derivation>();
  readonly memo = new Map<StorePath, DerivationModulo>();
  readonly hashOfInput = makeHashOfInput(this.memo);
  reads = 0;

  /** Puts a derivation in, after its outputs were filled in. */
  add(derivation: Derivation): { readonly path: StorePath; readonly derivation: Derivation } {
    for (const input of derivation.inputDerivations.keys()) this.hash(input);
    return this.addAsItIs(fillOutputs(storeDirectory, derivation, this.hashOfInput));
  }

  addAsItIs(derivation: Derivation) {
    const path = derivationPath(storeDirectory, derivation);
    this.#derivations.set(path, derivation);
    return { path, derivation };
  }

  hash(path: StorePath): DerivationModulo {
    return hashDerivations(storeDirectory, path, this.get, this.memo);
  }

  readonly get = (path: StorePath): Derivation => {
    ++this.reads;
    const found = this.#derivations.get(path);
    if (found === undefined) throw new Error(`${path} is not there`);
    return found;
  };
}

function make(
  name: string,
  inputs: readonly (readonly [StorePath, readonly string[]])[],
  outputs?: [string, Output][],
): Derivation {
  return {
    name,
    outputs: new Map(outputs ?? [["out", { kind: "deferred" }]]),
    inputDerivations: new Map(inputs.map(([path, ids]) => [path, new Set(ids)])),
    inputSources: new Set(),
    system: "x86_64-linux",
    builder: bytes("/bin/sh"),
    args: [],
    environment: new Map(),
  };
}

const fixed = (seed: string): [string, Output][] => [["out", { kind: "fixed", method: "flat", hash: sha256(seed) }]];
const floating: [string, Output][] = [["out", { kind: "floating", method: "recursive", algorithm: "sha256" }]];

describe("the outputs that follow from a derivation", () => {
  test.each(["derivations-nix.json", "derivations-guix.json"])("are those in %s", (file) => {
    const made = golden<GoldenDerivations>(file);
    const directory = parseStoreDirectory(made.storeDirectory);
    const all = new Map(
      made.derivations.map(({ path: baseName, aterm }) => {
        const path = parseStorePath(baseName);
        return [path, parseDerivation(directory, derivationNameOf(path), bytes(aterm))];
      }),
    );
    const get = (path: StorePath) => all.get(path) as Derivation;
    const memo = new Map<StorePath, DerivationModulo>();
    for (const [path, derivation] of all) {
      hashDerivations(directory, path, get, memo);
      for (const input of derivation.inputDerivations.keys()) hashDerivations(directory, input, get, memo);
      const hashOfInput = makeHashOfInput(memo);
      expect(() => checkOutputs(directory, derivation, hashOfInput)).not.toThrow();

      const unfilled = [...derivation.outputs].map(([id, output]): [string, Output] => {
        if (output.kind === "fixed") return [id, { kind: "fixed", method: output.method, hash: output.hash }];
        return [id, output.kind === "input-addressed" ? { kind: "deferred" } : output];
      });
      const environment = new Map([...derivation.environment].filter(([name]) => !derivation.outputs.has(name)));
      expect(fillOutputs(directory, { ...derivation, outputs: new Map(unfilled), environment }, hashOfInput)).toEqual({
        ...derivation,
        environment: new Map([
          ...environment,
          ...[...derivation.outputs.keys()].map((id) => [id, derivation.environment.get(id)] as const),
        ]),
      });
    }
  });

  test("are accepted by the check, and their variables hold them", () => {
    fc.assert(
      fc.property(anyDerivation, (value) => {
        const hashOfInput = (path: StorePath): DerivationModulo => ({
          hash: sha256(path),
          isDeferred: false,
          outputIds: [...(value.inputDerivations.get(path) ?? [])],
        });
        const filled = fillOutputs(storeDirectory, value, hashOfInput);
        expect(() => checkOutputs(storeDirectory, filled, hashOfInput)).not.toThrow();
        for (const [id, output] of filled.outputs) {
          const path = outputPathOf(storeDirectory, filled, id);
          const expected = path === undefined ? makePlaceholder(id) : printStorePath(storeDirectory, path);
          expect(text(filled.environment.get(id) ?? bytes(""))).toBe(expected);
          expect(output.kind).not.toBe("deferred");
        }
      }),
    );
  });

  test("are refused when a path or a variable is another", () => {
    const shelf = new Shelf();
    const { derivation } = shelf.add(make("a", []));
    const other = parseStorePath("0c0zq1jbyrs9cq5gsnbxbp3yqmjlxw4m-a");
    const codeOf = (change: Partial<Derivation>) =>
      refusalOf(() => checkOutputs(storeDirectory, { ...derivation, ...change }, shelf.hashOfInput));

    const wrongPath = codeOf({ outputs: new Map([["out", { kind: "input-addressed", path: other }]]) });
    expect(wrongPath).toMatchObject({
      code: "DERIVATION_OUTPUT_MISMATCH",
      details: { outputId: "out", where: "path" },
    });
    expect(wrongPath.message).toContain(outputPathOf(storeDirectory, derivation, "out"));
    const mismatch = { code: "DERIVATION_OUTPUT_MISMATCH", details: { where: "environment" } };
    expect(codeOf({ environment: new Map([["out", bytes("/tmp")]]) })).toMatchObject(mismatch);
    expect(codeOf({ outputs: new Map([["out", { kind: "deferred" }]]) })).toMatchObject({
      details: { where: "path", found: "" },
    });
    expect(codeOf({ system: "i686-linux" }).code).toBe("DERIVATION_OUTPUT_MISMATCH");

    const { derivation: fixedOne } = shelf.add(make("f", [], fixed("x")));
    expect(
      refusalOf(() => checkOutputs(storeDirectory, { ...fixedOne, environment: new Map() }, shelf.hashOfInput)),
    ).toMatchObject(mismatch);
    const wrongFixed: Output = { kind: "fixed", method: "flat", hash: sha256("x"), path: other };
    expect(
      refusalOf(() =>
        checkOutputs(storeDirectory, { ...fixedOne, outputs: new Map([["out", wrongFixed]]) }, shelf.hashOfInput),
      ),
    ).toMatchObject({ code: "DERIVATION_OUTPUT_MISMATCH", details: { where: "path" } });
  });

  test("do not depend on how a fixed input is fetched, but on what it holds", () => {
    const shelf = new Shelf();
    const outOf = (fetcher: Derivation) => {
      const input = shelf.add(fetcher);
      return outputPathOf(storeDirectory, shelf.add(make("top", [[input.path, ["out"]]])).derivation, "out");
    };
    const before = outOf(make("f", [], fixed("x")));
    expect(outOf({ ...make("f", [], fixed("x")), args: [bytes("another mirror")] })).toBe(before);
    expect(outOf(make("f", [], fixed("y")))).not.toBe(before);
    expect(outOf(make("g", [], fixed("x")))).not.toBe(before);
  });

  test("join when two inputs count as one", () => {
    const shelf = new Shelf();
    const first = shelf.add(make("f", [], fixed("x")));
    const second = shelf.add({ ...make("f", [], fixed("x")), system: "i686-linux" });
    expect(second.path).not.toBe(first.path);
    const both = shelf.add(
      make("top", [
        [first.path, ["out"]],
        [second.path, ["out"]],
      ]),
    );
    const one = shelf.add(make("top", [[first.path, ["out"]]]));
    expect(outputPathOf(storeDirectory, both.derivation, "out")).toBe(
      outputPathOf(storeDirectory, one.derivation, "out"),
    );
  });

  test("are not known where a floating output is among the inputs, however far down", () => {
    const shelf = new Shelf();
    const bottom = shelf.add(make("floating", [], floating));
    const middle = shelf.add(make("middle", [[bottom.path, ["out"]]]));
    const top = shelf.add(make("top", [[middle.path, ["out"]]]));
    expect(text(bottom.derivation.environment.get("out") ?? bytes(""))).toBe(makePlaceholder("out"));
    expect(top.derivation.outputs.get("out")).toEqual({ kind: "deferred" });
    expect(top.derivation.environment.get("out")).toEqual(bytes(""));
    expect(() => checkOutputs(storeDirectory, top.derivation, shelf.hashOfInput)).not.toThrow();

    const cut = shelf.add(make("cut", [[top.path, ["out"]]], fixed("x"))); // what is fixed does not depend on its inputs
    expect(shelf.hash(cut.path).isDeferred).toBe(false);
  });
});

describe("hashing a graph of derivations", () => {
  test("takes a chain of 10,000", () => {
    const shelf = new Shelf();
    let { path } = shelf.add(make("link-0", []));
    for (let index = 1; index < 10_000; ++index) path = shelf.addAsItIs(make(`link-${index}`, [[path, ["out"]]])).path;
    shelf.memo.clear();
    shelf.reads = 0;
    expect(shelf.hash(path).outputIds).toEqual(["out"]);
    expect(shelf.reads).toBe(10_000);
  });

  test("reads each rung of a ladder of 40 once, though 2^40 ways lead down", () => {
    const shelf = new Shelf();
    let rung = [shelf.add(make("left-0", [])).path, shelf.add(make("right-0", [])).path];
    for (let index = 1; index < 40; ++index) {
      const inputs = rung.map((path) => [path, ["out"]] as const);
      const left = shelf.addAsItIs(make(`left-${index}`, inputs)).path;
      rung = [left, shelf.addAsItIs(make(`right-${index}`, [...inputs, [left, ["out"]]])).path];
    }
    shelf.memo.clear();
    shelf.reads = 0;
    for (const path of rung) shelf.hash(path);
    expect(shelf.reads).toBe(80);
  });

  test("refuses a circle", () => {
    const path = (name: string) => parseStorePath(`0c0zq1jbyrs9cq5gsnbxbp3yqmjlxw4m-${name}.drv`);
    const circle = (name: StorePath) => make("x", [[name === path("a") ? path("b") : path("a"), ["out"]]]);
    expect(refusalOf(() => hashDerivations(storeDirectory, path("a"), circle, new Map()))).toMatchObject({
      code: "DERIVATION_CYCLE",
      details: { drvPath: printStorePath(storeDirectory, path("a")) },
    });
  });

  test("refuses the use of an output that an input has not", () => {
    const shelf = new Shelf();
    const { path } = shelf.add(make("a", []));
    expect(refusalOf(() => shelf.add(make("b", [[path, ["dev"]]])))).toMatchObject({
      code: "DERIVATION_INVALID",
      details: { name: "b" },
    });
  });
});
