/** Parsing and printing of a .drv of 1 MiB. */
import { parseDerivation, printDerivation } from "../../derivations/aterm.ts";
import type { Derivation } from "../../derivations/derivation.ts";
import { sha256 } from "../../derivations/hash.ts";
import { makeStorePath, parseStoreDirectory, type StorePath } from "../../derivations/store-path.ts";
import { median } from "./row.ts";
import type { Suite } from "./suite.ts";

const directory = parseStoreDirectory("/nix/store");

export const derivationsSuite: Suite = async (context) => {
  const derivation = bigDerivation();
  const bytes = printDerivation(directory, derivation);
  const megabytes = bytes.length / 1e6;
  const rounds = context.smoke ? 3 : 40;
  for (const [row, work] of [
    ["parse a .drv of 1 MiB", () => parseDerivation(directory, derivation.name, bytes)],
    ["print a .drv of 1 MiB", () => printDerivation(directory, derivation)],
  ] as const) {
    const times: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const start = performance.now();
      work();
      times.push(performance.now() - start);
    }
    // 30 MB/s is the goal itself here: there is no peer in this process.
    context.report({
      suite: "derivations",
      row,
      unit: "MB/s",
      better: "more",
      cloister: (megabytes * 1000) / median(times),
      ref: 30,
      peers: {},
      against: "ref",
      goal: 1,
    });
  }
};

function bigDerivation(): Derivation {
  const path = (index: number, name: string): StorePath =>
    makeStorePath(directory, "text", sha256(String(index)), name);
  const text = (value: string): Uint8Array => Buffer.from(value, "utf8");
  return {
    name: "big",
    outputs: new Map([["out", { kind: "input-addressed", path: path(0, "big") }]]),
    inputDerivations: new Map(
      Array.from({ length: 4000 }, (_, index) => path(index, `input-${index}.drv`))
        .sort()
        .map((drv) => [drv, new Set(["dev", "out"])]),
    ),
    inputSources: new Set(Array.from({ length: 4000 }, (_, index) => path(index, `source-${index}`)).sort()),
    system: "x86_64-linux",
    builder: text("/nix/store/sh"),
    args: Array.from({ length: 1000 }, (_, index) => text(`--flag-${index}="${index}"\n`)),
    environment: new Map(
      Array.from({ length: 4000 }, (_, index) => [
        `variable${String(index).padStart(5, "0")}`,
        text(`value ${index}\n`.repeat(8)),
      ]),
    ),
  };
}
