/** `cloister diff`: two store paths file by file, or their closures package by package. */
import type { Command } from "commander";
import { printStorePath, type StorePath } from "../../../derivations/store-path.ts";
import type { Service } from "../../api/service.ts";
import { fetchClosure } from "../../closures/closure-graph.ts";
import { compareClosures, type PackageDifference } from "../../closures/compare-closures.ts";
import { compareFiles, type FileDifference } from "../../closures/compare-files.ts";
import type { Context } from "../context.ts";
import type { Action } from "../main.ts";
import { parseStorePlace } from "../store-path-argument.ts";
import { cleanText } from "../terminal.ts";
import { printBytes } from "../units.ts";

export function addDiffCommand(program: Command, run: Action): void {
  program
    .command("diff")
    .description("compare two store paths, or their closures")
    .argument("<before>", "a store path, a result link, or a base name")
    .argument("<after>", "another one")
    .option("-c, --closure", "compare all that they refer to, by package, version and size")
    .addHelpText(
      "after",
      `
Ends with 0 when they are the same, and with 1 when they differ.

Example:
  $ cloister diff ./result-1 ./result-2 --closure`,
    )
    .action((beforeText: string, afterText: string, options: { closure?: boolean }, command: Command) =>
      run(command, async (context) => {
        const service = await context.connect();
        const status = await service.status({ signal: context.signal });
        const full = (path: StorePath): string => printStorePath(status.storeDirectory, path);
        const { path: before } = parseStorePlace(beforeText, context.cwd, status);
        const { path: after } = parseStorePlace(afterText, context.cwd, status);
        const names = { before: full(before), after: full(after) };
        if (options.closure === true) {
          const packages = await diffClosures(service, context, before, after);
          if (context.json) context.printJson({ ...names, packages });
          else for (const one of packages) context.print(describePackage(context, one));
          return packages.length === 0 ? 0 : 1;
        }
        const { signal } = context;
        const files = await compareFiles(service.readNar(before, { signal }), service.readNar(after, { signal }));
        if (context.json) context.printJson({ ...names, files });
        else for (const one of files) context.print(describeFile(context, one));
        return files.length === 0 ? 0 : 1;
      }),
    );
}

async function diffClosures(
  service: Service,
  { signal }: Context,
  before: StorePath,
  after: StorePath,
): Promise<readonly PackageDifference[]> {
  const old = await fetchClosure(service, [before], { signal });
  return compareClosures(old, await fetchClosure(service, [after], { signal }));
}

const signs = { added: "+", removed: "-", changed: "~" } as const;

function describePackage({ paintOut }: Context, difference: PackageDifference): string {
  const { name, change, versionsBefore, versionsAfter, bytesBefore, bytesAfter } = difference;
  const versions = (all: readonly string[]) => all.map((version) => version || "without a version").join(", ");
  const said =
    change === "added"
      ? versions(versionsAfter)
      : change === "removed"
        ? versions(versionsBefore)
        : versions(versionsBefore) === versions(versionsAfter)
          ? `${versions(versionsBefore)}, built another time`
          : `${versions(versionsBefore)} → ${versions(versionsAfter)}`;
  return `${signs[change]} ${paintOut.bold(name)}: ${said} ${paintOut.dim(`(${printChange(bytesAfter - bytesBefore)})`)}`;
}

function describeFile({ paintOut }: Context, difference: FileDifference): string {
  const { file, change, what, sizeBefore, sizeAfter } = difference;
  const sizes =
    sizeBefore !== undefined && sizeAfter !== undefined
      ? `${printBytes(BigInt(sizeBefore))} → ${printBytes(BigInt(sizeAfter))}`
      : (sizeBefore ?? sizeAfter) !== undefined
        ? printBytes(BigInt(sizeBefore ?? sizeAfter ?? 0))
        : "";
  const notes = [what ?? "", sizes].filter((note) => note !== "").join(", ");
  return `${signs[change]} ${cleanText(file === "" ? "itself" : file)}${notes === "" ? "" : ` ${paintOut.dim(`(${notes})`)}`}`;
}

function printChange(bytes: number): string {
  return bytes < 0 ? `-${printBytes(BigInt(-bytes))}` : `+${printBytes(BigInt(bytes))}`;
}
