/** `cloister ps`: who asked for what, what runs since when and with what, and why the rest waits. */
import type { Command } from "commander";
import { printActivity } from "../activity-lines.ts";
import { activityJson } from "../json-output.ts";
import type { Action } from "../main.ts";

export function addPsCommand(program: Command, run: Action): void {
  program
    .command("ps")
    .description("show what runs and what waits: for whom, since when, with how much, and why")
    .addHelpText("after", "\nExample:\n  $ cloister ps")
    .action((_options: object, command: Command) =>
      run(command, async (context) => {
        const service = await context.connect();
        const { signal } = context;
        const [status, activity] = await Promise.all([service.status({ signal }), service.queryActivity({ signal })]);
        if (context.json) context.printJson(activityJson(activity, status));
        else if (activity.requests.length === 0) context.say("nothing runs, and nothing waits");
        else
          for (const line of printActivity(activity, { nowMs: Date.now(), paint: context.paintOut }))
            context.print(line);
        return 0;
      }),
    );
}
