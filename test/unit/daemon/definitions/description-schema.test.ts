import { describe, expect, test } from "vitest";
import {
  type DerivationAttributes,
  derivation,
  file,
  hostWorld,
  output,
  source,
  storePath,
} from "../../../../daemon/definitions/description.ts";
import { checkDescription } from "../../../../daemon/definitions/description-schema.ts";
import { CloisterError } from "../../../../derivations/error.ts";

const sound: DerivationAttributes = { name: "a-1.0", world: hostWorld(["bash"]), script: "touch $out" };

test("all that the documentation lists is accepted together", () => {
  const input = derivation({ ...sound, outputs: ["out", "dev"] });
  const given: DerivationAttributes = {
    name: "a-1.0",
    world: source("/rootfs"),
    inputs: { src: source("./src"), lib: input, headers: output(input, "dev"), old: storePath("/cloister/store/x") },
    builder: file(input, "bin/tool"),
    args: ["-x", input],
    env: { text: "t", number: 1, yes: true, words: ["a", input], one: input },
    outputs: ["out", "dev"],
    system: "x86_64-linux",
    contentAddressed: true,
    runtime: "none",
    passAsFile: ["text"],
  };
  expect(checkDescription(derivation(given))).toEqual(given);
  expect(checkDescription(derivation({ ...sound, script: ["a", "b"] })).script).toEqual(["a", "b"]);
});

/** What is changed in a sound description, and words of the sentence that says what is wrong. */
const refusals: Readonly<Record<string, readonly [object, RegExp]>> = {
  "a mistyped attribute": [{ wrold: "none" }, /no attribute wrold \(did you mean world\?\)/],
  "no name": [{ name: undefined }, /name: is missing/],
  "a name that no store path has": [{ name: "a b" }, /name: may hold letters/],
  "a name that ends in .drv": [{ name: "a.drv" }, /name: must not end with \.drv/],
  "no world": [{ world: undefined }, /world: must be "none", hostWorld/],
  "a world that is a text": [{ world: "debian" }, /world: must be "none", hostWorld/],
  "neither script nor builder": [{ script: undefined }, /script: is missing/],
  "both script and builder": [{ builder: "/bin/sh" }, /script: cannot stand beside builder/],
  "a script without a world": [{ world: "none" }, /script: needs a world/],
  "an input that is a text": [{ inputs: { src: "./src" } }, /inputs\.src: must be what source/],
  "an object put into a text": [{ script: `cp ${{}} $out` }, /script: must be a text/],
  "an input of an output's name": [{ inputs: { out: source("./x") } }, /inputs\.out: is the name of an output/],
  "a variable that every build has": [{ env: { PWD: "/" } }, /env\.PWD: is a variable that every build has/],
  "a variable given twice": [
    { env: { src: "x" }, inputs: { src: source("./x") } },
    /env\.src: is the name of an input too/,
  ],
  "a variable with an equals sign": [{ env: { "a=b": "x" } }, /env\.a=b: cannot be the name/],
  "a value that is an object": [{ env: { a: {} } }, /env\.a: must be a text/],
  "no outputs": [{ outputs: [] }, /outputs: must name at least one/],
  "an output twice": [{ outputs: ["out", "out"] }, /outputs: names an output twice/],
  "several outputs of a fixed hash": [
    { outputs: ["out", "dev"], outputHash: "sha256-x" },
    /outputs: must be \["out"\]/,
  ],
  "a fixed and a floating output": [{ contentAddressed: true, outputHash: "sha256-x" }, /exclude each other/],
  "a file for a variable that is not there": [{ passAsFile: ["text"] }, /passAsFile: names text, which is neither/],
  "a NUL byte": [{ script: "a\0b" }, /script: must be a text/],
};

describe("a description is refused, with a sentence, for", () => {
  for (const [name, [change, sentence]] of Object.entries(refusals))
    test(name, () => {
      const problems = problemsOf({ ...sound, ...change });
      expect(problems.join("\n")).toMatch(sentence);
    });
});

test("all problems are said at once, with the file and line of the definition", () => {
  const description = derivation({ ...sound, name: "", outputs: [] });
  try {
    checkDescription(description);
    expect.unreachable();
  } catch (error) {
    if (!(error instanceof CloisterError)) throw error;
    expect(error.code).toBe("DEFINITION_INVALID");
    expect(error.details.problems).toHaveLength(2);
    expect(error.details.where).toMatch(/description-schema\.test\.ts:\d+/);
  }
});

function problemsOf(attributes: object): readonly string[] {
  try {
    checkDescription(derivation(attributes as DerivationAttributes));
  } catch (error) {
    if (error instanceof CloisterError && error.code === "DEFINITION_INVALID")
      return error.details.problems as string[];
    throw error;
  }
  return [];
}
