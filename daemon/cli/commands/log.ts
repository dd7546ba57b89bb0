/** `cloister log`: the log of a build and, with `--json` or `--record`, its record. */
import type { Command } from "commander";
import type { BuildRecord } from "../../../derivations/build-record.ts";
import type { Service, Status } from "../../api/service.ts";
import type { Context } from "../context.ts";
import { CliError } from "../errors.ts";
import { recordJson } from "../json-output.ts";
import type { Action } from "../main.ts";
import { writeStream } from "../output-stream.ts";
import { findStorePlace } from "../store-path-argument.ts";

export function addLogCommand(program: Command, run: Action): void {
  program
    .command("log")
    .description("print the log of a build, the newest that fits")
    .argument("<build>", "a build's id, a derivation, an output path, a result link, or a name")
    .option("-f, --follow", "go on until the build ends")
    .option("--raw", "print the builder's escape sequences as they are")
    .addHelpText(
      "after",
      "\nExample:\n  $ cloister log hello-1.0\n\nWith --json: the build's record (command, environment, inputs, times, outputs) and its log.",
    )
    .action((text: string, options: { follow?: boolean; raw?: boolean }, command: Command) =>
      run(command, async (context) => {
        const service = await context.connect();
        const record = await findRecord(context, service, text);
        const signal = context.signal;
        if (context.json) {
          const pieces: Uint8Array[] = [];
          if (record.logFile !== undefined)
            for await (const bytes of service.readLog(record.id, { signal })) pieces.push(bytes);
          context.printJson({ record: recordJson(record), log: Buffer.concat(pieces).toString("utf8") });
          return 0;
        }
        if (record.logFile === undefined && options.follow !== true)
          throw new CliError("CLI_RECORD_WITHOUT_LOG", { id: record.id, name: record.name });
        const log = service.readLog(record.id, { signal, follow: options.follow === true });
        await writeStream(log, context, { raw: options.raw === true });
        return 0;
      }),
    );
}

async function findRecord(context: Context, service: Service, text: string): Promise<BuildRecord> {
  const status: Status = await service.status({ signal: context.signal });
  // A result link or a physical path says which store path is meant; everything else is looked up as it was typed.
  const place = findStorePlace(text, context.cwd, status);
  const [record] = await service.queryBuildRecords({ text: place?.path ?? text, limit: 1 }, { signal: context.signal });
  if (record === undefined) throw new CliError("CLI_LOG_UNKNOWN", { text });
  return record;
}
