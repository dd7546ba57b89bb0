/**
 * `npm run tidy`: what biome cannot see, then biome, the compiler, dependency-cruiser and knip. Each check is a small
 * file beside this one, tested with text that it must refuse.
 */
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { methods } from "../../daemon/api/msgpack-messages.ts";
import { packageFolder } from "../../sandbox-native/pinned-node.mjs";
import { checkBrandCasts } from "./check-brand-casts.ts";
import { checkClientPaths } from "./check-client-paths.ts";
import { checkEnvironment } from "./check-environment.ts";
import { checkErrorCodes } from "./check-error-codes.ts";
import { checkFileLength } from "./check-file-length.ts";
import { checkImports } from "./check-imports.ts";
import { checkLeftovers } from "./check-leftovers.ts";
import { checkHeaders, checkRunPlan } from "./check-native.ts";
import { type Finding, printFinding } from "./finding.ts";
import { readSources } from "./sources.ts";

process.chdir(packageFolder);

const scripts = readSources(/\.(?:ts|mjs|js)$/);
const native = readSources(/^sandbox-native\/.*\.(?:cpp|h)$/);
const house = scripts.filter(({ path }) => /^(?:derivations|store|sandbox-native|daemon)\/.*\.ts$/.test(path));
const runPlan = "sandbox-native/build/Release/obj.target/cloister-launcher/src/linux/run-plan.o";
const errorsDocument = existsSync("docs/errors.md") ? readFileSync("docs/errors.md", "utf8") : "";

const checks: Record<string, () => Finding[] | Promise<Finding[]>> = {
  "imports go one way": () => checkImports(house),
  "file length": () => checkFileLength([...scripts, ...native]),
  leftovers: () => checkLeftovers([...scripts, ...native]),
  environment: () => checkEnvironment(house),
  "brand casts": () => checkBrandCasts(house),
  "error codes": () => checkErrorCodes(scripts, errorsDocument),
  "no request carries a client's path": () => checkClientPaths(methods),
  "headers compile alone": () => checkHeaders(native.map(({ path }) => path).filter((path) => path.endsWith(".h"))),
  "run-plan only makes system calls": () => checkRunPlan(runPlan),
};

const tools: Record<string, readonly string[]> = {
  biome: ["node_modules/.bin/biome", "check", "--error-on-warnings", "."],
  "types of the sources": ["node_modules/.bin/tsc", "-p", "tsconfig.json", "--noEmit", "--incremental", "false"],
  "types of the tests": ["node_modules/.bin/tsc", "-p", "test/tsconfig.json"],
  "generated documents are fresh": ["docs/generate.ts", "--check"],
  "dependency-cruiser": ["node_modules/.bin/depcruise", "--config", "test/tidy/dependency-cruiser.mjs", "dist"],
  knip: ["node_modules/.bin/knip", "--config", "test/tidy/knip.json", "--no-progress"],
};

let failed = 0;
for (const [name, check] of Object.entries(checks)) {
  const findings = await check();
  report(name, findings.map(printFinding).join("\n"), findings.length === 0);
}
for (const [name, command] of Object.entries(tools)) {
  const { output, status } = await runTool(command);
  report(name, output, status === 0);
}
process.stdout.write(failed === 0 ? "tidy\n" : `${failed} checks failed\n`);
process.exitCode = failed === 0 ? 0 : 1;

function report(name: string, details: string, passed: boolean): void {
  if (!passed) failed += 1;
  process.stdout.write(passed ? `ok      ${name}\n` : `FAILED  ${name}\n${details.trimEnd()}\n`);
}

function runTool([script = "", ...args]: readonly string[]): Promise<{ output: string; status: number }> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [join(packageFolder, script), ...args],
      { maxBuffer: 2 ** 26 },
      (_error, out, err) => resolve({ output: `${out}${err}`, status: child.exitCode ?? 1 }),
    );
  });
}
