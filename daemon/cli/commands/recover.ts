/** `cloister recover`: what a failed build left in its build directory, which `cloister build --keep-failed` had kept. */
import { resolve } from "node:path";
import type { Command } from "commander";
import type { Context } from "../context.ts";
import { findRecord } from "../find-record.ts";
import { fetchKeptBuild } from "../kept-build.ts";
import type { Action } from "../main.ts";
import type { ExitStatus } from "../run-command.ts";

interface RecoverCommandOptions {
  readonly to?: string;
}

export function addRecoverCommand(program: Command, run: Action): void {
  program
    .command("recover")
    .description("unpack what a build left that failed under --keep-failed, and print where")
    .argument("<build>", "a build's id, a derivation, or a name")
    .option("--to <directory>", "make the new directory in this one, not among temporary files")
    .addHelpText("after", "\nExample:\n  $ cloister build --keep-failed big.ts\n  $ cloister recover big-1.0 --to .")
    .action((text: string, options: RecoverCommandOptions, command: Command) =>
      run(command, (context) => recover(context, text, options)),
    );
}

async function recover(context: Context, text: string, { to }: RecoverCommandOptions): Promise<ExitStatus> {
  const service = await context.connect();
  const status = await service.status({ signal: context.signal });
  const record = await findRecord(context, service, status, text);
  const into = to === undefined ? undefined : resolve(context.cwd, to);
  const directory = await fetchKeptBuild(context, service, { recordId: record.id, name: record.name }, into);
  if (context.json) context.printJson({ recordId: record.id, directory });
  else context.print(directory);
  return 0;
}
