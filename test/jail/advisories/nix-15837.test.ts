/**
 * Nix issue 15837: an output that refers to itself, and its twin that has zeros in the place of its own hash part, got the
 * same path, because the hash modulo self does not tell them apart.
 */
import { expect, test } from "vitest";
import type { Output } from "../../../derivations/output.ts";
import { findWhyNoStrength } from "../../support/granted-strengths.ts";
import { LocalBuilds } from "../../support/local-builds.ts";

const floating: Output = { kind: "floating", method: "recursive", algorithm: "sha256" };
const missing = await findWhyNoStrength();

test("nix#15837: an output and its twin with zeros for its own hash part have different paths", async ({ skip }) => {
  skip(missing !== "", missing);
  await using local = await LocalBuilds.open();
  const build = async (script: string) => {
    const { result } = await local.build({ script, outputs: { out: floating } });
    return result.outputs["out"];
  };
  const zeros = "printf '/cloister/store/%s\\0-test\\n'".replace("%s\\0", "\\0".repeat(32));
  const self = await build(`echo $out > $out`);
  const twin = await build(`${zeros} > $out`);
  const again = await build(`echo "$out" > $out`);
  expect(self).toEqual(expect.any(String));
  expect(twin).toEqual(expect.any(String));
  expect(twin).not.toBe(self);
  expect(again).toBe(self); // and it is what it holds that counts
  expect(await local.read(twin)).toBe(`/cloister/store/${"\0".repeat(32)}-test\n`);
});
