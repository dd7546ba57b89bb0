/** `cloister cancel`: ends a request, or one build, and says for whom what goes on. */
import type { Command } from "commander";
import { printCancelled } from "../activity-lines.ts";
import { cancelJson } from "../json-output.ts";
import type { Action } from "../main.ts";

export function addCancelCommand(program: Command, run: Action): void {
  program
    .command("cancel")
    .description("end a request, or one running build of many")
    .argument("<id>", "of a request or of a running build, as `cloister ps` shows them")
    .addHelpText("after", "\nWhat others want goes on for them.\n\nExample:\n  $ cloister cancel r-4ns1hq0zpy2m")
    .action((id: string, _options: object, command: Command) =>
      run(command, async (context) => {
        const service = await context.connect();
        const { signal } = context;
        const [status, result] = await Promise.all([service.status({ signal }), service.cancel(id, { signal })]);
        if (context.json) context.printJson(cancelJson(result, status));
        else for (const line of printCancelled(id, result)) context.print(line);
        return 0;
      }),
    );
}
