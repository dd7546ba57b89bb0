/**
 * Nix's secureDrvOutputs: a derivation claims for its output the path of another one's, so that building it puts what it
 * likes there.
 */
import { expect, test } from "vitest";
import { printDerivation } from "../../../derivations/aterm.ts";
import { bytes } from "../../../derivations/bytes.ts";
import { referencesOf } from "../../../derivations/derivation.ts";
import { findWhyNoStrength } from "../../support/granted-strengths.ts";
import { LocalBuilds } from "../../support/local-builds.ts";

const missing = await findWhyNoStrength();

test("Nix secureDrvOutputs: a derivation with another one's output path is refused", async ({ skip }) => {
  skip(missing !== "", missing);
  await using local = await LocalBuilds.open();
  const good = await local.derive({ script: "echo good > $out" });
  const add = (derivation: typeof good.derivation) =>
    local.service.addText("test.drv", printDerivation(local.directory, derivation), referencesOf(derivation));
  const forged = { ...good.derivation, args: ["sh", "-ec", "echo evil > $out"].map(bytes) };
  await expect(add(forged)).rejects.toMatchObject({ code: "DERIVATION_OUTPUT_MISMATCH" });
  // What is not forged is taken in the same way, and builds as if nothing had been.
  expect(await add(good.derivation)).toBe(good.drvPath);
  const { result } = await local.buildAll([good.target]);
  expect(await local.read(result.outputs["out"])).toBe("good\n");
});
