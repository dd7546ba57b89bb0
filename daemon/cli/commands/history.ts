/** `cloister history`: the builds that were, newest first: how they ended, how long they took, and how much memory. */
import { readFileSync } from "node:fs";
import { type Command, Option } from "commander";
import type { BuildQuery, BuildRecord, BuildRecordStatus } from "../../../derivations/build-record.ts";
import type { Service } from "../../api/service.ts";
import type { Context } from "../context.ts";
import { CliError } from "../errors.ts";
import { recordJson } from "../json-output.ts";
import type { Action } from "../main.ts";
import { findStorePlace } from "../store-path-argument.ts";
import { cleanText, type Painter } from "../terminal.ts";
import { parseCount, parseTime, printBytes, printDuration, printTimeOfDay } from "../units.ts";

interface HistoryCommandOptions {
  readonly status?: BuildRecordStatus;
  readonly user?: string;
  readonly since?: string;
  readonly until?: string;
  readonly limit: string;
}

export function addHistoryCommand(program: Command, run: Action): void {
  program
    .command("history")
    .description("list the builds that were, newest first, with their times and memory")
    .argument("[build]", "only of a name, a derivation, an output path or a result link")
    .addOption(
      new Option("--status <how>", "only those that stand so").choices(["building", "done", "failed", "cancelled"]),
    )
    .option("--user <user>", "only those that this user asked for, by name or number")
    .option("--since <time>", "only those that started since: 30m, 12h or 7d ago, or a date")
    .option("--until <time>", "only those that had started by then")
    .option("-n, --limit <number>", "how many at most", "20")
    .addHelpText(
      "after",
      "\nExample:\n  $ cloister history --status failed --since 1d\n  $ cloister history hello --json",
    )
    .action((text: string | undefined, options: HistoryCommandOptions, command: Command) =>
      run(command, async (context) => {
        const limit = parseCount("--limit", options.limit);
        const service = await context.connect();
        const status = await service.status({ signal: context.signal });
        const place = text === undefined ? undefined : findStorePlace(text, context.cwd, status);
        const found = await findRecords(context, service, {
          ...readFilters(options, Date.now()),
          ...(text !== undefined && { text: place?.path ?? text }),
          limit: limit + 1,
        });
        const records = found.slice(0, limit);
        const more = found.length > limit;
        if (context.json) {
          context.printJson({ records: records.map((record) => recordJson(record, status)), more });
          return 0;
        }
        for (const line of printHistory(records, context.paintOut)) context.print(line);
        if (records.length === 0) context.say("no build fits");
        if (more) context.say(context.paint.dim(`there are older ones: --limit ${limit * 5} shows more`));
        return 0;
      }),
    );
}

/** How many are asked for at a time: the daemon does nothing else while it reads them. */
const recordsAtOnce = 100;

async function findRecords(context: Context, service: Service, query: BuildQuery): Promise<readonly BuildRecord[]> {
  const found: BuildRecord[] = [];
  while (found.length < query.limit) {
    const limit = Math.min(recordsAtOnce, query.limit - found.length);
    const beforeId = found.at(-1)?.id;
    const some = await service.queryBuildRecords(
      { ...query, limit, ...(beforeId !== undefined && { beforeId }) },
      { signal: context.signal },
    );
    found.push(...some);
    if (some.length < limit) break;
  }
  return found;
}

/** Throws CLI_TIME_INVALID, CLI_USER_UNKNOWN. */
function readFilters({ status, user, since, until }: HistoryCommandOptions, nowMs: number): Omit<BuildQuery, "limit"> {
  return {
    ...(status !== undefined && { status }),
    ...(user !== undefined && { uid: findUid(user) }),
    ...(since !== undefined && { sinceMs: parseTime("--since", since, nowMs) }),
    ...(until !== undefined && { untilMs: parseTime("--until", until, nowMs) }),
  };
}

function findUid(user: string): number {
  if (/^[0-9]{1,10}$/.test(user)) return Number(user);
  const row = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .find((line) => line.startsWith(`${user}:`));
  const uid = row?.split(":")[2];
  if (uid === undefined) throw new CliError("CLI_USER_UNKNOWN", { user });
  return Number(uid);
}

function printHistory(records: readonly BuildRecord[], paint: Painter): string[] {
  const names = records.map(({ name }) => cleanText(name));
  const width = names.reduce((widest, name) => Math.max(widest, Math.min(name.length, 40)), 0);
  return records.map((record, index) => {
    const { resources, startedAtMs, stoppedAtMs, user, id, status } = record;
    const took = stoppedAtMs === undefined ? "runs" : printDuration(stoppedAtMs - startedAtMs);
    const memory = resources.peakMemoryBytes ?? resources.maxResidentBytes;
    const mark = {
      done: paint.green("✔"),
      failed: paint.red("✘"),
      cancelled: paint.yellow("■"),
      building: "▸",
      sealing: "▸",
    };
    return [
      mark[status],
      printTimeOfDay(startedAtMs),
      (names[index] ?? "").padEnd(width),
      took.padStart(10),
      (memory === 0 ? "" : printBytes(BigInt(memory))).padStart(8),
      paint.dim(`${user === undefined ? "" : `uid ${user.uid} `}${id}`),
    ].join("  ");
  });
}
