/** `cloister add`: dumps files of the user's and adds them to the store as sources. */

import { accessSync, constants, lstatSync } from "node:fs";
import { basename, resolve } from "node:path";
import type { Command } from "commander";
import { printStorePath } from "../../../derivations/store-path.ts";
import { dumpTree } from "../../../sandbox-native/read-tree.ts";
import { CliError } from "../errors.ts";
import { placeJson } from "../json-output.ts";
import type { Action } from "../main.ts";

export function addAddCommand(program: Command, run: Action): void {
  program
    .command("add")
    .description("add files or directories to the store and print their paths")
    .argument("<path...>", "a file, a directory, or a symbolic link (added as a link)")
    .option("--name <name>", "the name in the store (the file's own by default); with one path only")
    .addHelpText("after", "\nExample:\n  $ cloister add ./src --name hello-src")
    .action((paths: string[], options: { name?: string }, command: Command) =>
      run(command, async (context) => {
        if (options.name !== undefined && paths.length > 1)
          throw new CliError("CLI_USAGE", { problem: "--name goes with one path only" });
        for (const path of paths) assertReadable(resolve(context.cwd, path));
        const service = await context.connect();
        const status = await service.status({ signal: context.signal });
        const added = [];
        for (const path of paths) {
          const absolute = resolve(context.cwd, path);
          const archive = dumpTree(absolute, { signal: context.signal });
          const name = options.name ?? basename(absolute);
          const method = { kind: "source", references: [] } as const;
          added.push((await service.addSource(name, method, archive, { signal: context.signal })).path);
        }
        if (context.json) context.printJson({ added: added.map((path) => placeJson(path, status)) });
        else for (const path of added) context.print(printStorePath(status.storeDirectory, path));
        return 0;
      }),
    );
}

/** Said before the daemon is started for nothing. */
function assertReadable(path: string): void {
  try {
    if (!lstatSync(path).isSymbolicLink()) accessSync(path, constants.R_OK);
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code === "ENOENT" ? "there is no such file" : "permission denied";
    throw new CliError("CLI_FILE_UNREADABLE", { path, reason });
  }
}
