/**
 * A file past some 300 lines of code usually holds two concepts; what explains them does not count. Tables may be as
 * long as they like: they are exceptions by reason.
 */
import { exceptions } from "./exceptions.ts";
import type { Finding } from "./finding.ts";
import type { Source } from "./sources.ts";

const longest = 300;

export function checkFileLength(sources: readonly Source[], excepted = exceptions): Finding[] {
  const reasons = excepted.filter(({ check }) => check === "file-length");
  const long = sources.filter(({ text }) => countLines(text) > longest);
  const unused = reasons.filter(({ path }) => !long.some((source) => source.path === path));
  return [
    ...long
      .filter(({ path }) => !reasons.some((exception) => exception.path === path))
      .map(({ path, text }) => ({
        path,
        line: 1,
        wrong: `has ${countLines(text)} lines of code`,
        instead: "a file for each of its concepts, or say in test/tidy/exceptions.ts why it is one",
      })),
    ...unused.map(({ path }) => ({
      path: "test/tidy/exceptions.ts",
      line: 1,
      wrong: `${path} is excepted from file-length and is not long`,
      instead: "no exception",
    })),
  ];
}

/** Blank lines and lines of nothing but comment are left out. */
function countLines(text: string): number {
  const withoutBlocks = text.replace(/^\s*\/\*[\s\S]*?\*\//gm, "");
  return withoutBlocks.split("\n").filter((line) => !/^\s*(?:\/\/.*)?$/.test(line)).length;
}
