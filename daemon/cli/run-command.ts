/** Runs one command: its context, Ctrl-C, its errors as a person or a program wants them, and its exit status. */
import { CloisterError } from "../../derivations/error.ts";
import { Context, type GlobalOptions, wantsColours } from "./context.ts";
import { errorData, printFailure } from "./failure.ts";
import { writeLine } from "./output-stream.ts";
import { printPlainJson } from "./plain-json.ts";
import { Painter } from "./terminal.ts";

/** 0 done, 1 the build or operation failed, 2 wrong usage, 130 interrupted. */
export type ExitStatus = 0 | 1 | 2 | 130;

export type CommandAction = (context: Context) => Promise<ExitStatus | undefined>;

export async function runCommand(options: GlobalOptions, action: CommandAction): Promise<ExitStatus> {
  const interruption = new AbortController();
  try {
    await using context = new Context(options, {
      cwd: process.cwd(),
      signal: interruption.signal,
      environment: process.env,
    });
    using _handler = onInterrupt(interruption, context);
    try {
      return (await action(context)) ?? 0;
    } catch (error) {
      if (interruption.signal.aborted) {
        context.say(context.onInterrupt.last);
        return 130;
      }
      return reportFailure(error, context);
    }
  } catch (error) {
    // Closing the connection failed after the work was done: said, but it does not undo what was done.
    writeLine(process.stderr, `warning: ${error instanceof Error ? error.message : String(error)}`);
    return 1;
  }
}

/** Says what failed, for a person on stderr or for a program on stdout, and gives the exit status for it. */
export function reportFailure(error: unknown, options: { readonly json: boolean }): ExitStatus {
  const paint = new Painter({ colours: wantsColours(process.stderr, process.env) });
  if (options.json) writeLine(process.stdout, printPlainJson({ error: errorData(error) }));
  else writeLine(process.stderr, printFailure(error, paint));
  if (isOurFault(error) && process.env["CLOISTER_DEBUG"] === "1") writeLine(process.stderr, stackOf(error));
  return isUsage(error) ? 2 : 1;
}

/** The first Ctrl-C cancels, the second leaves at once: the daemon then cancels what nobody waits for any more. */
function onInterrupt(interruption: AbortController, context: Context): Disposable {
  const handler = (signal: NodeJS.Signals): void => {
    if (interruption.signal.aborted) process.exit(130);
    if (signal === "SIGINT") context.say(context.onInterrupt.first);
    interruption.abort();
  };
  process.on("SIGINT", handler);
  process.on("SIGTERM", handler);
  return {
    [Symbol.dispose]() {
      process.off("SIGINT", handler);
      process.off("SIGTERM", handler);
    },
  };
}

function isUsage(error: unknown): boolean {
  return (
    error instanceof CloisterError &&
    (error.code === "CLI_USAGE" ||
      error.code.startsWith("CLI_NUMBER") ||
      error.code.startsWith("CLI_SIZE") ||
      error.code === "CLI_TIME_INVALID")
  );
}

function isOurFault(error: unknown): boolean {
  return !(error instanceof CloisterError);
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
