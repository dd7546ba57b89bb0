/** What is left over from work in progress: notes to oneself, prints, tests switched off. */
import { type Finding, lineAt } from "./finding.ts";
import type { Source } from "./sources.ts";

interface Leftover {
  readonly pattern: RegExp;
  readonly where: RegExp;
  readonly wrong: string;
  readonly instead: string;
}

// Written in pieces, so that this file does not refuse itself.
const notes = ["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"].join("|");

const leftovers: readonly Leftover[] = [
  {
    pattern: new RegExp(`\\b(?:${notes})\\b`, "g"),
    where: /./,
    wrong: "a note on unfinished work",
    instead: "the finished work, or an issue",
  },
  {
    pattern: /\bconsole\.(?:log|debug|info|trace|dir)\b|\bdebugger;/g,
    where: /^(?:derivations|store|sandbox-native|daemon)\/.*\.ts$/,
    wrong: "a leftover print",
    instead: "the logger in the daemon, `process.stdout.write` for a command's own output",
  },
  {
    pattern: /\b(?:std::cout|std::cerr|printf|fprintf|perror|puts)\b(?=\s*[(<])/g,
    where: /^sandbox-native\/src\//,
    wrong: "a leftover print",
    instead: "a Failure in the answer: the launcher has no terminal",
  },
  {
    pattern: /\b(?:test|it|describe|suite)\.(?:only|todo|fails|skip)\b/g,
    where: /^test\/.*\.ts$/,
    wrong: "a test switched off, or all others are",
    instead: '`skip(condition, "needs …")` in a test that cannot run everywhere',
  },
  {
    pattern: /@ts-(?:ignore|expect-error|nocheck)\b/g,
    where: /\.ts$/,
    wrong: "a type error silenced",
    instead: "a type that is right",
  },
];

export function checkLeftovers(sources: readonly Source[]): Finding[] {
  return sources.flatMap(({ path, text }) =>
    leftovers
      .filter(({ where }) => where.test(path))
      .flatMap(({ pattern, wrong, instead }) =>
        [...text.matchAll(pattern)].map((match) => ({
          path,
          line: lineAt(text, match.index),
          wrong: `${wrong} (${match[0].trim()})`,
          instead,
        })),
      ),
  );
}
