/** `cloister daemon`: without a verb bin.js becomes `cloisterd` before this is reached; here are its verbs. */
import type { Command } from "commander";
import { processStartTime, waitForProcessEnd } from "../../../sandbox-native/posix.ts";
import { CliError } from "../errors.ts";
import type { Action } from "../main.ts";
import { findRunning } from "../running-daemon.ts";
import { parseCount } from "../units.ts";
import { assertNoUnknownVerb } from "../usage.ts";

export function addDaemonCommand(program: Command, run: Action): void {
  const daemon = program
    .command("daemon")
    .description("run the daemon in the foreground, or stop it")
    .addHelpText(
      "after",
      "\nExample:\n  $ cloister daemon --root ~/builds      (all of its options: cloisterd --help)\n  $ cloister daemon stop",
    )
    .allowExcessArguments()
    .action((_options: object, command: Command) =>
      run(command, () => {
        assertNoUnknownVerb(command);
        throw new CliError("CLI_USAGE", {
          problem: "the options of a daemon come after the word daemon, as in `cloister daemon --root DIRECTORY`",
          command: "cloisterd",
        });
      }),
    );
  daemon
    .command("stop")
    .description("ask the daemon to end; running builds may finish first")
    .option("--drain <seconds>", "how long running builds may go on", "30")
    .addHelpText("after", "\nExample:\n  $ cloister daemon stop --drain 5")
    .action((options: { drain: string }, command: Command) =>
      run(command, async (context) => {
        const drainMs = parseCount("--drain", options.drain) * 1000;
        await using client = await findRunning(context);
        if (client === undefined) {
          context.say("no daemon runs for this store");
          if (context.json) context.printJson({ stopped: false });
          return 0;
        }
        const { pid } = await client.status({ signal: context.signal });
        const startTime = processStartTime(pid);
        await client.shutdown({ drainMs, signal: context.signal });
        // Its answer comes before its end, and it ends when nobody is connected: what is said below is to be true.
        await client[Symbol.asyncDispose]();
        if (startTime !== undefined) await waitForProcessEnd(pid, startTime);
        context.say("the daemon has ended");
        if (context.json) context.printJson({ stopped: true });
        return 0;
      }),
    );
}
