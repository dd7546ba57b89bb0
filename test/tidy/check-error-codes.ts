/** A code names one error of one table, is documented, and has a test that provokes it. */
import { type Finding, lineAt } from "./finding.ts";
import type { Source } from "./sources.ts";

export interface ErrorCode {
  readonly code: string;
  readonly path: string;
  readonly line: number;
}

/** The rows of the tables: `  STORE_DISK_FULL: row(`. */
export function findErrorCodes(sources: readonly Source[]): ErrorCode[] {
  return sources
    .filter(({ path }) => path.endsWith("/errors.ts") && !path.startsWith("test/"))
    .flatMap(({ path, text }) =>
      [...text.matchAll(/^ {2}([A-Z][A-Z0-9_]+):\s*row[(<]/gm)].map((match) => ({
        code: match[1] ?? "",
        path,
        line: lineAt(text, match.index),
      })),
    );
}

export function checkErrorCodes(sources: readonly Source[], documentation: string): Finding[] {
  const codes = findErrorCodes(sources);
  const tests = sources.filter(({ path }) => path.startsWith("test/") && path.endsWith(".test.ts"));
  return codes.flatMap(({ code, path, line }, index) => {
    const finding = (wrong: string, instead: string): Finding => ({ path, line, wrong: `${code} ${wrong}`, instead });
    const first = codes.findIndex((other) => other.code === code);
    const name = new RegExp(`\\b${code}\\b`);
    return [
      ...(first === index ? [] : [finding(`is in ${codes[first]?.path} too`, "a code of its own")]),
      ...(name.test(documentation) ? [] : [finding("is not in docs/errors.md", "`npm run docs` to write it again")]),
      ...(tests.some(({ text }) => name.test(text))
        ? []
        : [finding("is named in no test", "a test that provokes it, or no such error")]),
    ];
  });
}
