/** `cloister build`: makes targets valid and links the results. */

import { resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Command, Option } from "commander";
import { type BuildLimits, type LimitName, limitNames, limitRows } from "../../api/build-limits.ts";
import type { BuildEvent } from "../../api/events.ts";
import { type OnDisconnect, onDisconnectKinds } from "../../api/requests.ts";
import type { Service } from "../../api/service.ts";
import { isVariationName, type VariationName, variationNames } from "../../api/variations.ts";
import { BuildProgress } from "../build-progress.ts";
import type { Context } from "../context.ts";
import { CliError } from "../errors.ts";
import type { KeptBuild } from "../kept-build.ts";
import type { Action } from "../main.ts";
import { assertLinkIsPossible } from "../out-link.ts";
import type { ExitStatus } from "../run-command.ts";
import { showResults } from "../show-results.ts";
import { resolveTargets } from "../targets.ts";
import { cleanText } from "../terminal.ts";
import { parseCount, parseLimitOption } from "../units.ts";

interface BuildCommandOptions {
  readonly outLink: string;
  readonly link: boolean;
  readonly check?: boolean;
  readonly rounds: string;
  readonly vary?: boolean;
  readonly varyOnly?: string;
  readonly keepGoing?: boolean;
  readonly keepFailed?: boolean;
  readonly cores: string;
  readonly timeout: string;
  readonly silence: string;
  readonly priority?: string;
  readonly log?: boolean;
  readonly detach?: boolean;
  readonly onDisconnect: OnDisconnect;
  readonly requireLimits?: boolean;
  readonly seccompLog?: boolean;
}

/** The limits that have options of their own. */
const limitOptions = limitNames.filter((name) => name !== "timeoutMs" && name !== "silenceMs");

export function addBuildCommand(program: Command, run: Action): void {
  const command = program
    .command("build")
    .description("build targets and link the results")
    .argument("<target...>", "a definition (FILE.ts, FILE.ts#NAME, FILE.json), a .drv, or a store path")
    .option("-o, --out-link <path>", "where to link the result", "result")
    .option("--no-link", "make no result link")
    .option("--check", "build again in another jail and name the files that differ")
    .option("--rounds <number>", "build this many times in all and compare", "1")
    .option("--vary", "build again with all changed that must not matter, and find out what does")
    .option("--vary-only <names>", `the same with some of ${variationNames.join(", ")}`)
    .option("-k, --keep-going", "build what can be built after a failure")
    .option("--keep-failed", "fetch what failed builds left in their build directories, and say where it is")
    .option("--cores <number>", "cores for one build (NIX_BUILD_CORES); 0 is all", "0")
    .option("--timeout <seconds>", "end a build that takes longer; 0 is never", "0")
    .option("--silence <seconds>", "end a build that prints nothing for so long; 0 is never", "0")
    .option("--priority <number>", "-100 to 100: before or after your other builds; above 0 only for trusted users")
    .option("-L, --log", "show the builders' logs while they run")
    .option("--detach", "print the request's id and leave: `cloister attach ID` shows it, also after its end")
    .addOption(
      new Option("--on-disconnect <what>", "what becomes of the builds when this command is killed")
        .choices(onDisconnectKinds)
        .default("cancel"),
    )
    .option("--require-limits", "build nothing whose limits this machine cannot enforce")
    .option("--seccomp-log", "name the system calls that builds were refused")
    .addHelpText("after", "\nExample:\n  $ cloister build hello.ts --out-link hello && ./hello/bin/hello")
    .action((targets: string[], options: BuildCommandOptions, command: Command) =>
      run(command, (context) => build(context, targets, options)),
    );
  command.optionsGroup("Limits of each build:");
  for (const name of limitOptions) {
    const { word, says } = limitRows[name];
    command.option(`--${word} <limit>`, says);
  }
}

async function build(context: Context, targets: readonly string[], options: BuildCommandOptions): Promise<ExitStatus> {
  const rounds = parseCount("--rounds", options.rounds);
  const limits = {
    cores: parseCount("--cores", options.cores),
    timeoutMs: parseCount("--timeout", options.timeout) * 1000,
    silenceMs: parseCount("--silence", options.silence) * 1000,
    limits: readLimits(options),
    ...(options.priority !== undefined && { priority: parsePriority(options.priority) }),
    ...(options.requireLimits === true && { requireLimits: true }),
  };
  if (options.link && options.detach !== true) assertLinkIsPossible(resolve(context.cwd, options.outLink));

  const service = await context.connect();
  const status = await service.status({ signal: context.signal });
  const derived = await resolveTargets(context, service, status, targets);

  const vary = readVariations(options);
  const isCheck = options.check === true || rounds > 1 || vary.length > 0;
  using progress = await BuildProgress.begin(context, {
    ...{ showLogs: options.log === true, status },
    ...(options.keepGoing !== true && { goOn: `cloister build ${targets.map(quote).join(" ")} --keep-going` }),
  });
  const request = {
    ...(isCheck ? { mode: "check" as const, rounds: Math.max(2, rounds), vary } : { mode: "normal" as const }),
    keepGoing: options.keepGoing === true,
    ...limits,
    ...(options.seccompLog === true && { seccompLog: true }),
    ...(options.keepFailed === true && { keepFailed: true }),
    signal: context.signal,
  };
  if (options.detach === true) {
    const id = await service.submit(derived, request);
    if (context.json) context.printJson({ request: id });
    else context.print(id);
    context.say(`it goes on without this command: \`cloister attach ${id}\` shows it`);
    return 0;
  }
  const kept: KeptBuild[] = [];
  const onEvent = (event: BuildEvent) => {
    if (event.kind === "build-finished" && event.result.kept !== undefined && event.result.recordId !== undefined)
      kept.push({ recordId: event.result.recordId, name: event.name, kept: event.result.kept });
    if (event.kind === "plan" && event.requestId !== undefined) context.say(`request ${event.requestId}`);
    progress.show(event);
  };
  const { onDisconnect } = options;
  const results = await service.build(derived, { ...request, onDisconnect, onEvent }).catch(async (error: unknown) => {
    progress[Symbol.dispose]();
    if (context.signal.aborted) await awaitCancelled(context, service, progress.running);
    throw error;
  });
  return showResults(context, {
    service,
    status,
    progress,
    results,
    kept,
    ...(options.link && { outLink: options.outLink }),
  });
}

/** For a shell, where it must be. */
function quote(text: string): string {
  const clean = cleanText(text);
  return /^[\w@%+=:,./#-]+$/.test(clean) ? clean : `'${clean.replaceAll("'", "'\\''")}'`;
}

/** Throws CLI_USAGE. */
function readVariations({ vary, varyOnly }: BuildCommandOptions): readonly VariationName[] {
  if (varyOnly === undefined) return vary === true ? variationNames : [];
  return varyOnly.split(",").map((name) => {
    if (isVariationName(name)) return name;
    const problem = `--vary-only knows ${variationNames.join(", ")}, and not "${name}"`;
    throw new CliError("CLI_USAGE", { problem, command: "cloister build" });
  });
}

function parsePriority(text: string): number {
  if (!/^-?[0-9]{1,3}$/.test(text)) throw new CliError("CLI_NUMBER_INVALID", { option: "--priority", value: text });
  return Number(text);
}

/** Commander names an option "--build-dir-size" buildDirSize. */
function readLimits(options: object): BuildLimits {
  const values = new Map<string, unknown>(Object.entries(options));
  const limits: Partial<Record<LimitName, number>> = {};
  for (const name of limitOptions) {
    const value = values.get(limitRows[name].word.replace(/-./g, (text) => text.charAt(1).toUpperCase()));
    if (typeof value === "string") limits[name] = parseLimitOption(name, value);
  }
  return limits;
}

/** How long a cancelled build may take to be gone; one that goes on longer has somebody else who waits for it. */
const cancelPatienceMs = 10_000;

/** A request that is cancelled ends at once, its builds a little later: a person is told when they have. */
async function awaitCancelled(context: Context, service: Service, running: ReadonlyMap<string, string>): Promise<void> {
  const giveUpAtMs = performance.now() + cancelPatienceMs;
  for (const [id, name] of running)
    for (;;) {
      const [record] = await service.queryBuildRecords({ text: id, limit: 1 });
      if (record === undefined || (record.status !== "building" && record.status !== "sealing")) break;
      if (performance.now() > giveUpAtMs) {
        context.say(`${cleanText(name)} goes on: somebody else waits for it too`);
        break;
      }
      await sleep(10);
    }
}
