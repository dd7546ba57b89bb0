/** `cloister world`: slices of the host as declared inputs; what they hold and why. */
import type { Command } from "commander";
import { printStorePath } from "../../../derivations/store-path.ts";
import { cacheDirectory } from "../../definitions/cache-directory.ts";
import { explainHostWorld, resolveHostWorld } from "../../definitions/host-world.ts";
import { placeJson } from "../json-output.ts";
import type { Action } from "../main.ts";
import { cleanText } from "../terminal.ts";
import { count, printBytes } from "../units.ts";

export function addWorldCommand(program: Command, run: Action): void {
  const world = program
    .command("world")
    .description("make and explain worlds: root file systems for builds")
    .addHelpText("after", "\nExample:\n  $ cloister world show gcc bash\n  $ cloister world make gcc bash");
  world
    .command("make")
    .description("put a slice of this machine into the store and print its path")
    .argument("<program...>", 'names such as gcc or bash, and "base" for the usual small tools')
    .addHelpText(
      "after",
      "\nExample:\n  $ cloister world make gcc bash base\n\nSuch a world is not the same on another machine.",
    )
    .action((programs: string[], _options: object, command: Command) =>
      run(command, async (context) => {
        const service = await context.connect();
        const status = await service.status({ signal: context.signal });
        const path = await resolveHostWorld(service, programs, {
          storeDirectory: status.storeDirectory,
          cacheDirectory: cacheDirectory(process.env),
          onProgress: (line) => context.say(context.paint.dim(line)),
          signal: context.signal,
        });
        if (context.json) context.printJson(placeJson(path, status));
        else context.print(printStorePath(status.storeDirectory, path));
        return 0;
      }),
    );
  world
    .command("show")
    .description("list what a slice of this machine takes, and why")
    .argument("<program...>", 'names such as gcc or bash, and "base"')
    .addHelpText("after", "\nExample:\n  $ cloister world show gcc bash")
    .action((programs: string[], _options: object, command: Command) =>
      run(command, async (context) => {
        const files = await explainHostWorld(programs);
        if (context.json) context.printJson({ files });
        else {
          for (const file of files)
            context.print(`${cleanText(file.path)}  ${context.paintOut.dim(cleanText(file.why))}`);
          const bytes = files.reduce((sum, file) => sum + BigInt(file.sizeBytes), 0n);
          context.say(`${count(files.length, "file")}, ${printBytes(bytes)}`);
        }
        return 0;
      }),
    );
}
