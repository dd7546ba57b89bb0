/** `cloister metrics`: what the daemon measures, as Prometheus reads it. */
import type { Command } from "commander";
import type { Action } from "../main.ts";

export function addMetricsCommand(program: Command, run: Action): void {
  program
    .command("metrics")
    .description("print what the daemon measures, in the text form of Prometheus")
    .addHelpText("after", "\nExample:\n  $ cloister metrics | grep cloister_builds")
    .action((_options: object, command: Command) =>
      run(command, async (context) => {
        const service = await context.connect();
        const text = await service.readMetrics({ signal: context.signal });
        if (context.json) context.printJson({ text });
        else context.print(text.trimEnd());
        return 0;
      }),
    );
}
