/** `cloister log`: the log of a build or, with `--record`, all else that was recorded of it; with `--json` both. */
import type { Command } from "commander";
import { findRecord } from "../find-record.ts";
import { recordJson } from "../json-output.ts";
import type { Action } from "../main.ts";
import { writeStream } from "../output-stream.ts";
import type { Pager } from "../pager.ts";
import { printRecord } from "../record-lines.ts";
import { cleanText } from "../terminal.ts";

interface LogCommandOptions {
  readonly follow?: boolean;
  readonly record?: boolean;
  readonly raw?: boolean;
  readonly pager: boolean;
}

export function addLogCommand(program: Command, run: Action): void {
  program
    .command("log")
    .description("print the log of a build, the newest that fits")
    .argument("<build>", "a build's id, a derivation, an output path, a result link, or a name")
    .option("-f, --follow", "go on until the build ends")
    .option("--record", "print what was recorded of it instead: command, environment, inputs, times, outputs")
    .option("--no-pager", "on a terminal, do not page it ($CLOISTER_PAGER, $PAGER, less)")
    .option("--raw", "print the builder's escape sequences as they are")
    .addHelpText("after", "\nExample:\n  $ cloister log hello-1.0\n  $ cloister log ./result --record")
    .action((text: string, options: LogCommandOptions, command: Command) =>
      run(command, async (context) => {
        const service = await context.connect();
        const status = await service.status({ signal: context.signal });
        const record = await findRecord(context, service, status, text);
        const signal = context.signal;
        if (context.json) {
          const pieces: Uint8Array[] = [];
          if (record.logFile !== undefined)
            for await (const bytes of service.readLog(record.id, { signal })) pieces.push(bytes);
          context.printJson({ record: recordJson(record, status), log: Buffer.concat(pieces).toString("utf8") });
          return 0;
        }
        if (options.record === true) {
          for (const [label, line] of printRecord(record, status))
            context.print(`${context.paintOut.dim(label.padEnd(12))} ${line}`);
          return 0;
        }
        if (record.logFile === undefined && options.follow !== true) {
          const name = cleanText(record.name);
          context.say(
            context.paint.dim(`the build ${record.id} of ${name} (${record.status}) wrote nothing to its log`),
          );
          return 0;
        }
        const follow = options.follow === true;
        await using pager = options.pager && !follow ? await openPager() : undefined;
        const log = service.readLog(record.id, { signal, follow });
        await writeStream(log, context, { raw: options.raw === true, pager });
        return 0;
      }),
    );
}

/** Loaded only where a log is shown on a terminal. */
async function openPager(): Promise<Pager | undefined> {
  if (process.stdout.isTTY !== true) return undefined;
  const { Pager } = await import("../pager.ts");
  return Pager.open(process.env);
}
