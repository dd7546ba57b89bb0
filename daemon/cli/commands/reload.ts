/** `cloister reload`: has the daemon read its configuration again, without dropping a build. */
import type { Command } from "commander";
import type { Action } from "../main.ts";
import { findRunning } from "../running-daemon.ts";

export function addReloadCommand(program: Command, run: Action): void {
  program
    .command("reload")
    .description("have the daemon read its configuration again; no build is dropped")
    .addHelpText("after", "\nExample:\n  $ cloister reload")
    .action((_options: object, command: Command) =>
      run(command, async (context) => {
        await using client = await findRunning(context);
        if (client === undefined) {
          context.say("no daemon runs for this store; one that is started reads its configuration then");
          if (context.json) context.printJson({ running: false, applied: [], needRestart: [] });
          return 0;
        }
        const { applied, needRestart } = await client.reload({ signal: context.signal });
        if (context.json) context.printJson({ running: true, applied, needRestart });
        if (applied.length > 0) context.say(`from now on: ${applied.join(", ")}`);
        if (needRestart.length > 0)
          context.say(`only when the daemon starts again (\`cloister daemon stop\`): ${needRestart.join(", ")}`);
        if (applied.length + needRestart.length === 0) context.say("nothing changed");
        return 0;
      }),
    );
}
