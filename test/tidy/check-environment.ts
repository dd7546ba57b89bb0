/** The environment is configuration, and configuration is read in these places; the layers below are given options. */
import { type Finding, lineAt } from "./finding.ts";
import type { Source } from "./sources.ts";

const readers = [
  "daemon/server/config.ts",
  "daemon/cli/",
  "daemon/client/find-daemon.ts",
  "daemon/definitions/cache-directory.ts",
];

export function checkEnvironment(sources: readonly Source[]): Finding[] {
  return sources
    .filter(({ path }) => /^(?:derivations|store|sandbox-native|daemon)\/.*\.ts$/.test(path))
    .filter(({ path }) => !readers.some((reader) => path.startsWith(reader)))
    .flatMap(({ path, text }) =>
      [...text.matchAll(/\bprocess\.env\b|\{[^}]*\benv\b[^}]*\} from "node:process"|\bgetenv\s*\(/g)].map((match) => ({
        path,
        line: lineAt(text, match.index),
        wrong: "the environment is read here",
        instead: `an option, filled in by ${readers.join(", ")}`,
      })),
    );
}
