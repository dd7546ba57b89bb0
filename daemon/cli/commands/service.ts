/** `cloister service`: the system's daemon as a service of its own user; shows its plan before it changes anything. */
import { existsSync, realpathSync } from "node:fs";
import { createInterface } from "node:readline/promises";
import { type Command, Option } from "commander";
import { thisProgram } from "../../api/build-id.ts";
import type { Context } from "../context.ts";
import { CliError } from "../errors.ts";
import type { Action } from "../main.ts";
import type { ExitStatus } from "../run-command.ts";
import { applyPlan, describeStep } from "../service/apply.ts";
import {
  assertReachable,
  findReceipt,
  type Machine,
  makeReceipt,
  planInstall,
  planRemove,
  receiptPath,
  type Step,
  serviceFiles,
} from "../service/plan.ts";
import { assertNoUnknownVerb } from "../usage.ts";

interface ServiceOptions {
  readonly yes?: true;
  readonly rootDir: string;
  readonly manager?: Machine["manager"];
}

export function addServiceCommand(program: Command, run: Action): void {
  const service = program
    .command("service")
    .description("run the system's daemon as a service, as a user of its own")
    .addHelpText("after", "\nExample:\n  $ cloister service print\n  $ sudo cloister service install")
    .action((_options: object, command: Command) =>
      run(command, async () => {
        assertNoUnknownVerb(command);
        throw new CliError("CLI_USAGE", { problem: "service needs a verb", command: "cloister service" });
      }),
    );
  const verb = (name: string, says: string, example: string) =>
    service
      .command(name)
      .description(says)
      .option("--root-dir <directory>", "below which all is written, to make a package", "/")
      .addOption(
        new Option("--manager <kind>", "what starts it (default: what this machine has)").choices(["systemd", "init"]),
      )
      .addHelpText("after", `\nExample:\n  $ ${example}`);

  verb("print", "print the files that `install` writes", "cloister service print --manager init").action(
    (options: ServiceOptions, command: Command) =>
      run(command, async (context) => {
        const files = serviceFiles(machineOf(options)).filter((step) => step.kind === "write");
        if (context.json) context.printJson({ files: files.map(({ path, mode, text }) => ({ path, mode, text })) });
        else for (const { path, text } of files) context.print(`#### ${path}\n${text}`);
        return 0;
      }),
  );
  verb("install", "write them, make the user with its ids, and start it", "cloister service install")
    .option("--yes", "do not ask")
    .action((options: ServiceOptions, command: Command) =>
      run(command, async (context) => {
        const machine = machineOf(options);
        const changes = planInstall(machine);
        const receipt = makeReceipt(machine, thisProgram().version, changes);
        const text = `${JSON.stringify(receipt, null, 2)}\n`;
        // First, so that what is only half done can be taken away again.
        const steps: Step[] = [{ kind: "write", path: receiptPath, mode: 0o644, text }, ...changes];
        if (machine.rootDirectory === "/") assertReachable(machine.program);
        return carryOut(context, options, steps, machine);
      }),
    );
  verb("remove", "take away what `install` made; the store stays", "cloister service remove")
    .option("--yes", "do not ask")
    .action((options: ServiceOptions, command: Command) =>
      run(command, async (context) => {
        const machine = machineOf(options);
        const receipt = findReceipt(machine.rootDirectory);
        if (receipt === undefined) {
          context.say(`no service is installed here: there is no ${receiptPath}`);
          if (context.json) context.printJson({ done: false, steps: [] });
          return 0;
        }
        return carryOut(context, options, planRemove(machine, receipt), machine);
      }),
    );
}

async function carryOut(
  context: Context,
  options: ServiceOptions,
  steps: readonly Step[],
  { rootDirectory }: Machine,
): Promise<ExitStatus> {
  const plan = steps.map(describeStep);
  for (const line of plan) context.say(line);
  if (options.yes !== true && !(await askWhether(context, "Do this?"))) {
    if (context.json) context.printJson({ done: false, steps: plan });
    return 0;
  }
  if (rootDirectory === "/" && process.getuid?.() !== 0)
    throw new CliError("CLI_SERVICE_NEEDS_ROOT", { command: process.argv.slice(2).join(" ") });
  applyPlan(steps, { rootDirectory, onNotice: (text) => context.say(`notice: ${text}`) });
  context.say("done");
  if (context.json) context.printJson({ done: true, steps: plan });
  return 0;
}

/** Asks on a terminal; elsewhere the plan is all that there is. */
async function askWhether(context: Context, question: string): Promise<boolean> {
  if (context.json || process.stdin.isTTY !== true || process.stderr.isTTY !== true) {
    context.say("nothing was done; with --yes it is");
    return false;
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await terminal.question(`${question} [y/N] `, { signal: context.signal });
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    terminal.close();
  }
}

function machineOf({ rootDir, manager }: ServiceOptions): Machine {
  const program = { node: process.execPath, folder: realpathSync(thisProgram().folder) };
  const hasSystemd = rootDir !== "/" || existsSync("/run/systemd/system");
  return { rootDirectory: rootDir, manager: manager ?? (hasSystemd ? "systemd" : "init"), program };
}
