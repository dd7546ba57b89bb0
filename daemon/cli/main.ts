/** The program `cloister`: one commander program, a file per command. */
import { Command, CommanderError, Option } from "commander";
import { thisProgram } from "../api/build-id.ts";
import { addAddCommand } from "./commands/add.ts";
import { addAttachCommand } from "./commands/attach.ts";
import { addBuildCommand } from "./commands/build.ts";
import { addCancelCommand } from "./commands/cancel.ts";
import { addCatCommand } from "./commands/cat.ts";
import { addConfigCommand } from "./commands/config.ts";
import { addDaemonCommand } from "./commands/daemon.ts";
import { addDiffCommand } from "./commands/diff.ts";
import { addDoctorCommand } from "./commands/doctor.ts";
import { addGcCommand } from "./commands/gc.ts";
import { addHistoryCommand } from "./commands/history.ts";
import { addInstantiateCommand } from "./commands/instantiate.ts";
import { addLogCommand } from "./commands/log.ts";
import { addLsCommand } from "./commands/ls.ts";
import { addMetricsCommand } from "./commands/metrics.ts";
import { addPathInfoCommand } from "./commands/path-info.ts";
import { addPsCommand } from "./commands/ps.ts";
import { addRecoverCommand } from "./commands/recover.ts";
import { addReloadCommand } from "./commands/reload.ts";
import { addRootsCommand } from "./commands/roots.ts";
import { addServiceCommand } from "./commands/service.ts";
import { addStatusCommand } from "./commands/status.ts";
import { addTreeCommand } from "./commands/tree.ts";
import { addWhyDependsCommand } from "./commands/why-depends.ts";
import { addWorldCommand } from "./commands/world.ts";
import type { GlobalOptions } from "./context.ts";
import { tolerateGoneReaders } from "./output-stream.ts";
import { type CommandAction, type ExitStatus, reportFailure, runCommand } from "./run-command.ts";
import { usageError } from "./usage.ts";

/** What a command file needs to hang itself into the program: its action runs with the global options applied. */
export type Action = (command: Command, action: CommandAction) => Promise<void>;

/** Runs the command line; resolves to the exit status. `arguments_` is without the program's own name. */
export async function main(arguments_: readonly string[]): Promise<number> {
  tolerateGoneReaders();
  let status: ExitStatus = 0;
  const program = makeProgram(async (command, action) => {
    status = await runCommand(command.optsWithGlobals<GlobalOptions>(), action);
  });
  let wrong: unknown;
  for (const command of [program, ...allCommands(program)])
    command.configureOutput({ outputError: (text) => (wrong = usageError(command, text)) });
  if (arguments_.length === 0) {
    program.outputHelp();
    return 0;
  }
  try {
    await program.parseAsync(arguments_, { from: "user" });
    return status;
  } catch (error) {
    // Help and version are "errors" of commander with status 0; everything else that it finds is wrong usage.
    if (!(error instanceof CommanderError)) throw error;
    if (wrong !== undefined) return reportFailure(wrong, { json: arguments_.includes("--json") });
    return error.exitCode === 0 ? 0 : 2;
  }
}

export function makeProgram(run: Action): Command {
  const program = new Command("cloister")
    .description("A hermetic build daemon: builds each run in a jail of their own, from declared inputs alone.")
    .version(thisProgram().version, "-V, --version", "print the version")
    .helpOption("-h, --help", "show help")
    .helpCommand("help [command]", "show help for a command")
    .option("--socket <path>", "the daemon's socket (CLOISTER_SOCKET)")
    .option("--root <directory>", "physical root of the store (CLOISTER_ROOT)")
    .option("--store-dir <directory>", "logical store directory (CLOISTER_STORE_DIR)")
    .option("--state-dir <directory>", "logical state directory (CLOISTER_STATE_DIR)")
    .addOption(
      new Option("--strength <kind>", "identities of a daemon started by this command").choices([
        "auto",
        "range",
        "root",
        "single",
      ]),
    )
    .option("--json", "print one JSON object for programs")
    .addHelpText("after", overview)
    .exitOverride();
  for (const [group, commands] of Object.entries(commandGroups)) {
    program.commandsGroup(group);
    for (const add of commands) add(program, run);
  }
  for (const command of allCommands(program))
    command
      .exitOverride()
      .helpOption("-h, --help", "show help")
      .helpCommand(false)
      .configureHelp({ showGlobalOptions: true });
  return program;
}

/** As the help lists them. */
const commandGroups = {
  "Build:": [addBuildCommand, addInstantiateCommand, addAddCommand, addWorldCommand],
  "Follow what is built:": [
    addPsCommand,
    addAttachCommand,
    addCancelCommand,
    addLogCommand,
    addHistoryCommand,
    addRecoverCommand,
  ],
  "Look into the store:": [
    addPathInfoCommand,
    addTreeCommand,
    addWhyDependsCommand,
    addDiffCommand,
    addLsCommand,
    addCatCommand,
  ],
  "Keep and delete:": [addRootsCommand, addGcCommand],
  "The daemon:": [
    addStatusCommand,
    addMetricsCommand,
    addDoctorCommand,
    addConfigCommand,
    addReloadCommand,
    addDaemonCommand,
    addServiceCommand,
  ],
} as const;

const overview = `
Example:
  $ cloister build docs/examples/hello/hello.ts
  $ ./result/bin/hello

Exit status: 0 done, 1 the build or operation failed, 2 wrong usage, 130 interrupted.`;

function allCommands(command: Command): Command[] {
  return command.commands.flatMap((child) => [child, ...allCommands(child)]);
}
