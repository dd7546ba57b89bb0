/** The files that the checks read: all that git tracks or would track. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";

export interface Source {
  /** From the repository's top, such as "store/gc.ts". */
  readonly path: string;
  readonly text: string;
}

export function readSources(pattern: RegExp): Source[] {
  const list = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    encoding: "utf8",
  });
  return [...new Set(list.split("\0"))]
    .filter((path) => pattern.test(path) && existsSync(path))
    .sort()
    .map((path) => ({ path, text: readFileSync(path, "utf8") }));
}

export interface Import {
  /** As written, such as "./gc.ts" or "node:fs". */
  readonly specifier: string;
  readonly offset: number;
  readonly isTypeOnly: boolean;
}

/** The imports and re-exports of a file that biome has formatted; a dynamic import counts when its name is written out. */
export function findImports(text: string): Import[] {
  const statements = /^(?:import|export)\b(?<type> type\b)?(?:[^;"'`()=]*?\bfrom)? ?"(?<specifier>[^"]+)"/gm;
  const dynamic = /\bimport\(\s*"(?<specifier>[^"]+)"/g;
  return [...text.matchAll(statements), ...text.matchAll(dynamic)].map((match) => ({
    specifier: match.groups?.specifier ?? "",
    offset: match.index,
    isTypeOnly: match.groups?.type !== undefined,
  }));
}
