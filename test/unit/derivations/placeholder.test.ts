import { describe, expect, test } from "vitest";
import { parseDerivation } from "../../../derivations/aterm.ts";
import { bytes, text } from "../../../derivations/bytes.ts";
import {
  makePlaceholder,
  makeScratchPath,
  makeScratchPathFor,
  makeUpstreamPlaceholder,
} from "../../../derivations/placeholder.ts";
import { nameOf, parseStoreDirectory, parseStorePath } from "../../../derivations/store-path.ts";
import { golden } from "./golden.ts";

interface GoldenPaths {
  readonly placeholders: { values: { outputId: string; placeholder: string }[] };
  readonly scratch: { drvPath: string; paths: Record<string, string> };
}

const paths = golden<GoldenPaths>("paths.json");
const nix = parseStoreDirectory("/nix/store");

describe("placeholders", () => {
  test("of own outputs are those of builtins.placeholder", () => {
    for (const { outputId, placeholder } of paths.placeholders.values)
      expect(makePlaceholder(outputId)).toBe(placeholder);
  });

  test("of inputs' floating outputs are those that Nix wrote", () => {
    const { derivations } = golden<{ derivations: { path: string; aterm: string }[] }>("derivations-nix.json");
    const aterm = derivations.find(({ path }) => path.endsWith("-deferred.drv"))?.aterm ?? "";
    const deferred = parseDerivation(nix, "deferred", bytes(aterm));
    const input = [...deferred.inputDerivations.keys()][0] ?? parseStorePath("");
    expect(text(deferred.environment.get("dep") ?? bytes(""))).toBe(makeUpstreamPlaceholder(input, "lib"));
    expect(deferred.args.map(text)).toEqual([makeUpstreamPlaceholder(input, "out")]);
  });
});

describe("scratch paths", () => {
  test("are where Nix built the outputs of a floating derivation", () => {
    const drvPath = parseStorePath(paths.scratch.drvPath);
    for (const [id, path] of Object.entries(paths.scratch.paths)) expect(makeScratchPath(nix, drvPath, id)).toBe(path);
  });

  test("for a known path keep its name and are another path", () => {
    const drvPath = parseStorePath(paths.scratch.drvPath);
    const path = parseStorePath(paths.scratch.paths.lib ?? "");
    const scratch = makeScratchPathFor(nix, drvPath, path);
    expect(nameOf(scratch)).toBe(nameOf(path));
    expect(scratch).not.toBe(path);
  });
});
