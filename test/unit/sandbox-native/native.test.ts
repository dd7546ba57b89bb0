import { createHash } from "node:crypto";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { compileNativePrograms, packBatch, runProgram, type Variant } from "../../support/native-programs.ts";

describe.each<Variant>(["plain", "sanitized"])("the C++ part (%s)", (variant) => {
  beforeAll(() => compileNativePrograms(variant), 300_000);

  test("passes its own tests", () => {
    const result = runProgram(variant, "unit-test", []);
    expect({ stdout: String(result.stdout), stderr: String(result.stderr) }).toEqual({ stdout: "ok\n", stderr: "" });
    expect(result.status).toBe(0);
  }, 120_000);

  /** Lengths around the blocks of 64 and 128 bytes, where padding needs another block, and random ones. */
  test("gives the digests that Node gives, on the processor's instructions and in portable code", () => {
    const length = fc.oneof(
      fc.integer({ min: 0, max: 300 }),
      fc.constantFrom(55, 56, 63, 64, 111, 112, 119, 120, 127, 128),
    );
    const inputs = fc.array(
      length.chain((size) => fc.uint8Array({ minLength: size, maxLength: size })),
      { minLength: 20, maxLength: 60 },
    );
    fc.assert(
      fc.property(inputs, fc.constantFrom(1, 3, 63, 64, 65, 129, 100_000), (batch, piece) => {
        const { stdout } = runProgram(variant, "tree-tool", ["digest-batch", String(piece)], packBatch(batch));
        const algorithms = ["md5", "sha1", "sha256", "sha512", "sha256"];
        const expected = batch.map((input) => algorithms.map((name) => createHash(name).update(input).digest("hex")));
        expect(stdout.toString().split("\n").slice(0, -1)).toEqual(expected.map((digests) => `${digests.join(" ")} `));
      }),
      { numRuns: 15 },
    );
  });
});
