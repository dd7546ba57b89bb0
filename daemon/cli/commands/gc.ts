/** `cloister gc`: deletes what nothing keeps alive. */
import type { Command } from "commander";
import { printStorePath } from "../../../derivations/store-path.ts";
import { gcJson } from "../json-output.ts";
import type { Action } from "../main.ts";
import { parseStorePlace } from "../store-path-argument.ts";
import { count, parseSize, printBytes } from "../units.ts";

export function addGcCommand(program: Command, run: Action): void {
  program
    .command("gc")
    .description("delete what no root, lease or running build keeps")
    .argument("[path...]", "only these, and only if nothing keeps them")
    .option("-n, --dry-run", "only say what would go")
    .option("--max-freed <size>", "stop once this much is free, such as 500M")
    .addHelpText("after", "\nExample:\n  $ cloister gc --dry-run")
    .action((texts: string[], options: { dryRun?: boolean; maxFreed?: string }, command: Command) =>
      run(command, async (context) => {
        const maxFreedBytes = options.maxFreed === undefined ? undefined : parseSize("--max-freed", options.maxFreed);
        const service = await context.connect();
        const status = await service.status({ signal: context.signal });
        const dryRun = options.dryRun === true;
        const result = await service.collectGarbage({
          dryRun,
          ...(maxFreedBytes === undefined ? {} : { maxFreedBytes }),
          ...(texts.length === 0
            ? {}
            : { paths: texts.map((text) => parseStorePlace(text, context.cwd, status).path) }),
          signal: context.signal,
        });
        if (context.json) context.printJson(gcJson(result, status, dryRun));
        else {
          if (dryRun) for (const path of result.deleted) context.print(printStorePath(status.storeDirectory, path));
          const verb = dryRun ? "would delete" : "deleted";
          const bytes = printBytes(result.freedBytes);
          const freed = dryRun ? `, some ${bytes}` : `, ${bytes} freed`;
          context.say(
            `${verb} ${count(result.deleted.length, "path")}${freed}; ${count(result.alive, "path is", "paths are")} alive`,
          );
        }
        return 0;
      }),
    );
}
