/** `cloister doctor`: what this machine grants to builds, and the exact command for what it does not. */
import type { Command } from "commander";
import type { Action } from "../main.ts";

export function addDoctorCommand(program: Command, run: Action): void {
  program
    .command("doctor")
    .description("test what this machine grants to builds and say how to mend the rest")
    .addHelpText("after", "\nExample:\n  $ cloister doctor")
    .action((_options: object, command: Command) =>
      run(command, async (context) => {
        const { probeMachine } = await import("../../../sandbox-native/probe.ts"); // no other command needs it
        const probe = await probeMachine();
        if (context.json) context.printJson(probe);
        else {
          const { paintOut } = context;
          for (const line of probe.lines) {
            const mark =
              line.ok === true ? paintOut.green("✔") : line.ok === "notice" ? paintOut.yellow("!") : paintOut.red("✘");
            context.print(`${mark} ${line.name}: ${line.detail}`);
            if (line.ok !== true && line.remedy !== undefined)
              context.print(`    ${paintOut.dim("to mend it:")} ${line.remedy}`);
          }
        }
        return Object.values(probe.strengths).some((strength) => strength.ok) ? 0 : 1;
      }),
    );
}
