/**
 * What failed, on one screen however much it is: each cause with its last log lines, what was not built because of it,
 * and the commands to look further and to go on.
 */
import { existsSync } from "node:fs";
import type { ErrorData } from "../../derivations/error.ts";
import type { Status } from "../api/service.ts";
import type { BuildTracker, Finished } from "./build-tracker.ts";
import { printHeadline } from "./failure.ts";
import { cleanLines, cleanLogLine, cleanText, type Painter } from "./terminal.ts";
import { count } from "./units.ts";

export interface ReportOptions {
  readonly paint: Painter;
  readonly colours: boolean;
  /** Of the screen, or of what is taken for one where there is none. */
  readonly rows: number;
  readonly columns: number;
  /** The last lines of logs are not shown once more where the logs were. */
  readonly showedLogs: boolean;
  readonly status: Status;
  /** The command that builds what can still be built; absent if this was it. */
  readonly goOn?: string;
}

/** So many failures are told one after the other; of more, the first few. */
const mostTold = 3;

/** The lines to be shown; none when nothing failed. */
export function reportFailures(
  { failed, prevented, planned, cancelled, waiting }: BuildTracker,
  options: ReportOptions,
): string[] {
  if (failed.length === 0) return [];
  const told = failed.slice(0, mostTold);
  const more = failed.slice(mostTold);
  const lines: string[] = [];
  if (more.length > 0) {
    const { paint } = options;
    const all = `${failed.length} of ${count(planned, "build")} failed; the first ${told.length}:`;
    lines.push("", `${paint.red(paint.bold("error:"))} ${all}`);
  }
  // What the other lines of a cause take, and the lines at the end.
  const logLines = Math.max(3, Math.floor((options.rows - 6) / told.length) - 6);
  const isFew = more.length === 0;
  for (const failure of told) {
    const because = isFew ? prevented.filter(({ result }) => causeOf(result.error) === causePath(failure)) : [];
    lines.push(...reportCause(failure, because, isFew ? logLines : 2, options, isFew));
  }
  if (more.length > 0) lines.push("", ...reportMore(more, prevented, options));
  const rest = cancelled + waiting.size;
  if (rest > 0 && options.goOn !== undefined)
    lines.push(
      `  ${options.paint.dim(`${count(rest, "other build")} given up; to build them all the same:`)} ${options.paint.bold(options.goOn)}`,
    );
  return lines;
}

function reportCause(
  failure: Finished,
  because: readonly Finished[],
  logLines: number,
  options: ReportOptions,
  withHint: boolean,
): string[] {
  const { paint, colours } = options;
  const { error, recordId } = failure.result;
  const lines = ["", printHeadline(error ?? { code: "INTERNAL", message: `${failure.name} failed` }, paint)];
  const last = failure.lastLogLines.slice(-logLines);
  if (last.length > 0 && !options.showedLogs) {
    if (withHint) lines.push(paint.dim(`  last ${count(last.length, "line")} of its log:`));
    for (const line of last) lines.push(`  ${paint.dim("│")} ${shorten(cleanLogLine(line, { colours }))}`);
  }
  if (because.length > 0) lines.push(printPrevented(because.map(({ name }) => name)));
  if (withHint && error !== undefined && error.hint !== "")
    lines.push(`${paint.bold("hint:")} ${cleanLines(error.hint)}`);
  for (const [what, command] of nextCommands(failure, recordId, options.status, withHint))
    lines.push(`  ${paint.dim(`${what}:`)} ${paint.bold(command)}`);
  return lines;
}

/** Of many: their names as far as three lines go, what they prevented, and where the rest is. */
function reportMore(more: readonly Finished[], prevented: readonly Finished[], options: ReportOptions): string[] {
  const { paint, columns } = options;
  const lines = [`${count(more.length, "more failed:", "more failed:")} ${printNames(more, columns * 3 - 40)}`];
  if (prevented.length > 0)
    lines.push(
      `not built because of these: ${count(prevented.length, "build")} (${printNames(prevented, columns - 60)})`,
    );
  const command = `cloister history --status failed --limit ${more.length + mostTold}`;
  lines.push(`  ${paint.dim("all that failed:")} ${paint.bold(command)}`);
  return lines;
}

function printNames(events: readonly Finished[], characters: number): string {
  const shown: string[] = [];
  let length = 0;
  for (const { name } of events) {
    const clean = cleanText(name);
    length += clean.length + 2;
    if (length > characters && shown.length > 0) break;
    shown.push(clean);
  }
  const rest = events.length - shown.length;
  return `${shown.join(", ")}${rest > 0 ? `, and ${rest} more` : ""}`;
}

function nextCommands(
  failure: Finished,
  recordId: string | undefined,
  status: Status,
  withRecord: boolean,
): [string, string][] {
  const commands: [string, string][] = [];
  const { code, details, hint } = failure.result.error ?? {};
  if (code === "BUILD_NOT_DETERMINISTIC") commands.push(["to compare them", compareCommand(details, status)]);
  if (recordId !== undefined) {
    // Most hints name it already.
    if (!withRecord || hint?.includes(recordId) !== true)
      commands.push(["the whole log", `cloister log ${cleanText(recordId)}`]);
    if (withRecord) commands.push(["its environment and inputs", `cloister log ${cleanText(recordId)} --record`]);
  }
  return commands;
}

/** Where both outputs lie on this machine: the paths in the error are those that builders see. */
function compareCommand(details: ErrorData["details"] | undefined, status: Status): string {
  const { storeDirectory, realStoreDirectory } = status;
  const here = (path: unknown): string => cleanText(String(path)).replace(storeDirectory, () => realStoreDirectory);
  return `${compareProgram()} ${here(details?.["path"])} ${here(details?.["second"])}`;
}

/** Only named, never run unasked: it takes apart whatever a builder made, with dozens of other programs. */
function compareProgram(): string {
  const places = ["/usr/bin/diffoscope", "/usr/local/bin/diffoscope"];
  return places.some((place) => existsSync(place)) ? "diffoscope" : "diff -r";
}

/** The derivation that failed, as both errors name it. */
function causePath({ result }: Finished): unknown {
  return result.error?.details["drvPath"];
}

function causeOf(error: ErrorData | undefined): unknown {
  return error?.details["cause"];
}

/** A line of a compiler's command can be longer than all others of a failure together; the log has it whole. */
function shorten(line: string): string {
  if (line.length <= longestLine) return line;
  const cut = line.slice(0, longestLine);
  const open = cut.lastIndexOf("\u001b"); // a colour that the cut may have gone through
  const whole = open >= 0 && !cut.slice(open).includes("m") ? cut.slice(0, open) : cut;
  return `${whole}${open >= 0 ? "\u001b[0m" : ""} … ${line.length - longestLine} more`;
}

const longestLine = 400;

function printPrevented(names: readonly string[]): string {
  const shown = names.slice(0, 5).map(cleanText).join(", ");
  return `not built because of it: ${shown}${names.length > 5 ? `, and ${names.length - 5} more` : ""}`;
}
