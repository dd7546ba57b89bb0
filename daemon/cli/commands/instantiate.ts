/** `cloister instantiate`: writes the .drv files of targets into the store and prints their paths. */
import type { Command } from "commander";
import { printStorePath } from "../../../derivations/store-path.ts";
import { CliError } from "../errors.ts";
import { placeJson } from "../json-output.ts";
import type { Action } from "../main.ts";
import { resolveTargets } from "../targets.ts";

export function addInstantiateCommand(program: Command, run: Action): void {
  program
    .command("instantiate")
    .description("write the .drv files of definitions and print their paths")
    .argument("<target...>", "a definition: FILE.ts, FILE.ts#NAME or FILE.json")
    .addHelpText("after", "\nExample:\n  $ cloister instantiate hello.ts")
    .action((targets: string[], _options: object, command: Command) =>
      run(command, async (context) => {
        const service = await context.connect();
        const status = await service.status({ signal: context.signal });
        const derived = await resolveTargets(context, service, status, targets);
        const paths = derived.map((target, index) => {
          if (target.kind === "built") return target.drvPath;
          throw new CliError("CLI_USAGE", { problem: `${targets[index]} is a store path, not a definition` });
        });
        if (context.json) context.printJson({ derivations: paths.map((path) => placeJson(path, status)) });
        else for (const path of paths) context.print(printStorePath(status.storeDirectory, path));
        return 0;
      }),
    );
}
