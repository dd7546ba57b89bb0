/** `cloister path-info`: all that the store knows of a path, and the record of the build that made it. */
import type { Command } from "commander";
import { printHash } from "../../../derivations/hash.ts";
import { printStorePath, type StorePath } from "../../../derivations/store-path.ts";
import type { PathDetails, Status } from "../../api/service.ts";
import type { Context } from "../context.ts";
import { CliError } from "../errors.ts";
import { pathInfoJson } from "../json-output.ts";
import type { Action } from "../main.ts";
import { summariseRecord } from "../record-lines.ts";
import { parseStorePlace } from "../store-path-argument.ts";
import { count, printBytes } from "../units.ts";

export function addPathInfoCommand(program: Command, run: Action): void {
  program
    .command("path-info")
    .description("show what the store knows of paths")
    .argument("<path...>", "a store path, a result link, or a base name")
    .addHelpText("after", "\nExample:\n  $ cloister path-info ./result --json")
    .action((texts: string[], _options: object, command: Command) =>
      run(command, async (context) => {
        const service = await context.connect();
        const status = await service.status({ signal: context.signal });
        const found: PathDetails[] = [];
        for (const text of texts) {
          const { path } = parseStorePlace(text, context.cwd, status);
          const details = await service.queryPathDetails(path, { signal: context.signal });
          if (details === undefined)
            throw new CliError("CLI_PATH_UNKNOWN", { text, storeDirectory: status.storeDirectory });
          found.push(details);
        }
        if (context.json) context.printJson(pathInfoJson(found, status));
        else for (const details of found) printDetails(context, details, status);
        return 0;
      }),
    );
}

function printDetails(context: Context, details: PathDetails, status: Status): void {
  const { info } = details;
  const full = (path: StorePath): string => printStorePath(status.storeDirectory, path);
  const line = (label: string, text: string): void =>
    context.print(`  ${context.paintOut.dim(label.padEnd(12))} ${text}`);
  const list = (label: string, paths: Iterable<StorePath>): void => {
    for (const [index, path] of [...paths].entries()) line(index === 0 ? label : "", full(path));
  };
  context.print(context.paintOut.bold(full(info.path)));
  line("on disk", details.realPath);
  line("NAR", `${printBytes(info.narSize)}, ${printHash(info.narHash, "sri")}`);
  line("closure", `${count(details.closurePaths, "path")}, ${printBytes(details.closureBytes)}`);
  line("registered", new Date(info.registeredAtSeconds * 1000).toISOString());
  if (info.deriver !== undefined) line("deriver", full(info.deriver));
  list("references", info.references);
  list("referrers", details.referrers);
  if (details.record !== undefined) for (const [label, text] of summariseRecord(details.record)) line(label, text);
}
