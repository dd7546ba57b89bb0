/** Imports go one way, as may-import.ts says: over types as well, which a look at the compiled program would not see. */
import { posix } from "node:path";
import { type Finding, lineAt } from "./finding.ts";
import { type House, harmlessModules, houseOf, isWithin, mayImport, mayUseOfNode } from "./may-import.ts";
import { findImports, type Import, type Source } from "./sources.ts";

export function checkImports(sources: readonly Source[]): Finding[] {
  return sources.flatMap(({ path, text }) => {
    const house = houseOf(path);
    if (house === undefined) {
      const wrong = "lies in no folder that may-import.ts has a row for";
      return /^(derivations|store|sandbox-native|daemon)\//.test(path)
        ? [{ path, line: 1, wrong, instead: "one of its folders, or add a row" }]
        : [];
    }
    return findImports(text).flatMap((found) => {
      const problem = judge(path, house, found);
      return problem === undefined ? [] : [{ path, line: lineAt(text, found.offset), ...problem }];
    });
  });
}

function judge(
  path: string,
  house: House,
  { specifier, isTypeOnly }: Import,
): Omit<Finding, "path" | "line"> | undefined {
  if (specifier.startsWith("node:")) {
    const name = specifier.slice("node:".length).split("/")[0] ?? "";
    const allowed: readonly string[] = mayUseOfNode[house];
    const isHarmless = house !== "derivations" && (harmlessModules as readonly string[]).includes(name);
    if (isTypeOnly || isHarmless || allowed.includes(name)) return undefined;
    return { wrong: `${house} may not import ${specifier}`, instead: "an argument that a layer above passes in" };
  }
  if (!specifier.startsWith(".")) {
    if (house !== "derivations") return undefined;
    return {
      wrong: `derivations may not import ${specifier}: it is pure`,
      instead: "a function of its own or an argument",
    };
  }

  const target = posix.join(posix.dirname(path), specifier);
  if (isWithin(target, house) && houseOf(target) === house) return judgeErrorTable(path, target, isTypeOnly);
  const isErrorTable = posix.basename(target) === "errors.ts";
  if (house === "daemon/api" && isErrorTable) return undefined;
  if (!mayImport[house].some((name: string) => isWithin(target, name))) {
    const rows = mayImport[house].join(", ") || "nothing of ours";
    return {
      wrong: `${house} may not import ${target}`,
      instead: `what its row in test/tidy/may-import.ts names (${rows})`,
    };
  }
  return judgeErrorTable(path, target, isTypeOnly);
}

/** The client loads every error table through daemon/api, so a table must not bring its folder's code along. */
function judgeErrorTable(
  path: string,
  target: string,
  isTypeOnly: boolean,
): Omit<Finding, "path" | "line"> | undefined {
  if (posix.basename(path) !== "errors.ts" || isTypeOnly || target === "derivations/error.ts") return undefined;
  return { wrong: `an error table may not import ${target}`, instead: "`import type`, or derivations/error.ts alone" };
}
