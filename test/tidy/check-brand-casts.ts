/** A brand is given in one module, by the function that checked; a cast elsewhere claims what nobody has checked. */
import { type Finding, lineAt } from "./finding.ts";
import type { Source } from "./sources.ts";

export function checkBrandCasts(sources: readonly Source[]): Finding[] {
  const homes = new Map<string, string>();
  for (const { path, text } of sources) {
    for (const match of text.matchAll(/^export type (\w+) = Brand</gm)) homes.set(match[1] ?? "", path);
  }
  if (homes.size === 0) return [];
  const cast = new RegExp(`\\bas (?:unknown as )?(${[...homes.keys()].join("|")})\\b`, "g");
  return sources.flatMap(({ path, text }) =>
    [...text.matchAll(cast)]
      .filter((match) => homes.get(match[1] ?? "") !== path && !isRename(text, match.index))
      .map((match) => ({
        path,
        line: lineAt(text, match.index),
        wrong: `a cast to ${match[1]} outside ${homes.get(match[1] ?? "")}`,
        instead: "the function there that checks and gives the brand",
      })),
  );
}

/** `import { A as B }` is no cast. */
function isRename(text: string, offset: number): boolean {
  const statement = text.slice(text.lastIndexOf("\n", offset) + 1, offset);
  return /^(?:import|export) (?:type )?\{/.test(statement);
}
