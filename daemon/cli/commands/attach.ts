/** `cloister attach`: a request that needs no client, from its beginning to its end; leaving ends only the watching. */
import { resolve } from "node:path";
import type { Command } from "commander";
import { BuildProgress } from "../build-progress.ts";
import type { Action } from "../main.ts";
import { assertLinkIsPossible } from "../out-link.ts";
import { showResults } from "../show-results.ts";

interface AttachCommandOptions {
  readonly outLink?: string;
  readonly log: boolean;
}

export function addAttachCommand(program: Command, run: Action): void {
  program
    .command("attach")
    .description("show a detached request from its beginning, and end as it ends")
    .argument("<request>", "the id that `cloister build --detach` printed")
    .option("-o, --out-link <path>", "where to link the result")
    .option("--no-log", "leave the builders' logs out")
    .addHelpText("after", "\nExample:\n  $ cloister attach $(cloister build --detach hello.ts)")
    .action((id: string, options: AttachCommandOptions, command: Command) =>
      run(command, async (context) => {
        const { outLink } = options;
        if (outLink !== undefined) assertLinkIsPossible(resolve(context.cwd, outLink));
        context.onInterrupt = {
          first: "leaving",
          last: `left; the request goes on: \`cloister cancel ${id}\` ends it`,
        };
        const service = await context.connect();
        const status = await service.status({ signal: context.signal });
        using progress = await BuildProgress.begin(context, { showLogs: options.log, status });
        const { signal } = context;
        const results = await service.attach(id, { onEvent: (event) => progress.show(event), signal });
        return showResults(context, { service, status, progress, results, ...(outLink !== undefined && { outLink }) });
      }),
    );
}
