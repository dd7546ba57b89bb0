/** `cloister cat`: the bytes of a file in the store, as they are when stdout is a file, cleaned on a terminal. */
import type { Command } from "commander";
import { CliError } from "../errors.ts";
import type { Action } from "../main.ts";
import { writeStream } from "../output-stream.ts";
import { parseStorePlace } from "../store-path-argument.ts";

export function addCatCommand(program: Command, run: Action): void {
  program
    .command("cat")
    .description("print a file that is in the store")
    .argument("<path>", "a file inside a store path")
    .option("--raw", "on a terminal too, print escape sequences as they are")
    .addHelpText("after", "\nExample:\n  $ cloister cat ./result/share/doc/README")
    .action((text: string, options: { raw?: boolean }, command: Command) =>
      run(command, async (context) => {
        if (context.json) throw new CliError("CLI_USAGE", { problem: "cat prints a file's bytes and has no --json" });
        const service = await context.connect();
        const status = await service.status({ signal: context.signal });
        const place = parseStorePlace(text, context.cwd, status);
        const raw = options.raw === true || process.stdout.isTTY !== true;
        await writeStream(service.readFile(place.path, place.inside, { signal: context.signal }), context, { raw });
        return 0;
      }),
    );
}
