/** A build as a person follows it: the plan first, then a line when something starts or ends, then what failed and why. */
import type { BuildResult } from "../../derivations/build-result.ts";
import type { ErrorData } from "../../derivations/error.ts";
import type { BuildEvent } from "../api/events.ts";
import type { Status } from "../api/service.ts";
import type { Context } from "./context.ts";
import { printHeadline } from "./failure.ts";
import { cleanLines, cleanLogLine, cleanText } from "./terminal.ts";
import { count, printDuration } from "./units.ts";

export class BuildProgress {
  readonly #context: Context;
  readonly #showLogs: boolean;
  readonly #status: Status;
  /** The unfinished last line of each running build's log, while logs are shown. */
  readonly #partial = new Map<string, Uint8Array>();
  readonly #refused: (BuildEvent & { kind: "build-finished" })[] = [];
  readonly #failures: (BuildEvent & { kind: "build-finished" })[] = [];
  /** Names of the builds that have started and not ended, by their records' ids. */
  readonly #running = new Map<string, string>();
  #planned = 0;
  #finished = 0;

  constructor(context: Context, options: { showLogs: boolean; status: Status }) {
    this.#context = context;
    this.#showLogs = options.showLogs;
    this.#status = options.status;
  }

  show(event: BuildEvent): void {
    switch (event.kind) {
      case "plan":
        this.#planned = event.toBuild.length;
        this.#context.say(printPlan(event));
        return;
      case "build-started":
        this.#running.set(event.recordId, event.name);
        this.#context.say(`${this.#context.paint.bold("▸")} building ${cleanText(event.name)}`);
        return;
      case "build-log":
        if (this.#showLogs) this.#showLog(event.name, event.bytes);
        return;
      case "build-finished":
        this.#finished += 1;
        if (event.result.recordId !== undefined) this.#running.delete(event.result.recordId);
        if (this.#showLogs) this.#flushLog(event.name);
        this.#showEnd(event);
        return;
      default:
        event satisfies never;
    }
  }

  /** Of the builds that have started and not ended: the ids of their records, and their names. */
  get running(): ReadonlyMap<string, string> {
    return this.#running;
  }

  /** Which system calls each build was refused; nothing if nobody asked. */
  showRefusedCalls(): void {
    const { paint } = this.#context;
    for (const { name, result } of this.#refused) {
      const rows = result.refusedCalls ?? [];
      const none = rows.length === 0 ? " none" : "";
      this.#context.say(`${paint.bold("refused system calls")} of ${cleanText(name)}:${none}`);
      for (const { call, errno, count: times } of rows)
        this.#context.say(`  ${cleanText(call)} ${paint.dim(`${cleanText(errno)}, ${count(times, "time")}`)}`);
    }
  }

  /** The root causes with their last log lines, then what was not built because of them; nothing when all went well. */
  showFailures(): void {
    for (const failure of this.#failures.filter((event) => event.result.status === "failed")) this.#showCause(failure);
    const prevented = this.#failures.filter((event) => event.result.status === "dependency-failed");
    if (prevented.length > 0) this.#context.say(printPrevented(prevented.map((event) => event.name)));
  }

  #showEnd(event: BuildEvent & { kind: "build-finished" }): void {
    const { paint } = this.#context;
    const name = cleanText(event.name);
    const left = this.#planned > 1 ? paint.dim(` (${this.#finished} of ${this.#planned})`) : "";
    const took = event.result.wallMs === undefined ? "" : ` in ${printDuration(event.result.wallMs)}`;
    const line = {
      built: `${paint.green("✔")} ${name} built${took}${left}`,
      "already-valid": `${paint.green("✔")} ${name} is there${left}`,
      cancelled: `${paint.yellow("■")} ${name} cancelled`,
      failed: `${paint.red("✘")} ${name} failed${took}${left}`,
      "dependency-failed": undefined, // told at the end, after the cause
    }[event.result.status];
    if (line !== undefined) this.#context.say(line);
    if (event.result.refusedCalls !== undefined) this.#refused.push(event);
    if (event.result.error !== undefined) this.#failures.push(event);
  }

  #showCause(failure: BuildEvent & { kind: "build-finished" }): void {
    const { paint } = this.#context;
    const { error, recordId } = failure.result;
    const lines = ["", printHeadline(error ?? { code: "INTERNAL", message: `${failure.name} failed` }, paint)];
    if (failure.lastLogLines.length > 0 && !this.#showLogs) {
      lines.push(paint.dim(`  last ${count(failure.lastLogLines.length, "line")} of its log:`));
      const options = { colours: this.#context.colours };
      for (const line of failure.lastLogLines)
        lines.push(`  ${paint.dim("│")} ${shorten(cleanLogLine(line, options))}`);
    }
    if (error !== undefined && error.hint !== "") lines.push(`${paint.bold("hint:")} ${cleanLines(error.hint)}`);
    for (const [what, command] of this.#nextCommands(failure, recordId))
      lines.push(`  ${paint.dim(`${what}:`)} ${paint.bold(command)}`);
    for (const line of lines) this.#context.say(line);
  }

  #nextCommands(failure: BuildEvent & { kind: "build-finished" }, recordId: string | undefined): [string, string][] {
    const commands: [string, string][] = [];
    const { code, details } = failure.result.error ?? {};
    if (code === "BUILD_NOT_DETERMINISTIC") commands.push(["to compare them", this.#compareCommand(details)]);
    if (recordId !== undefined) {
      // Most hints name it already.
      if (!failure.result.error?.hint.includes(recordId)) commands.push(["the whole log", `cloister log ${recordId}`]);
      commands.push(["its environment and inputs", `cloister log ${recordId} --record`]);
    }
    return commands;
  }

  /** Where both outputs lie on this machine: the paths in the error are those that builders see. */
  #compareCommand(details: ErrorData["details"] | undefined): string {
    const { storeDirectory, realStoreDirectory } = this.#status;
    const here = (path: unknown): string => cleanText(String(path)).replace(storeDirectory, () => realStoreDirectory);
    return `diff -r ${here(details?.["path"])} ${here(details?.["second"])}`;
  }

  #showLog(name: string, bytes: Uint8Array): void {
    const held = this.#partial.get(name);
    const all = held === undefined ? bytes : Buffer.concat([held, bytes]);
    let start = 0;
    for (let end = all.indexOf(10); end >= 0; end = all.indexOf(10, start)) {
      this.#sayLogLine(name, all.subarray(start, end));
      start = end + 1;
    }
    this.#partial.set(name, all.subarray(start));
  }

  #flushLog(name: string): void {
    const rest = this.#partial.get(name);
    if (rest !== undefined && rest.length > 0) this.#sayLogLine(name, rest);
    this.#partial.delete(name);
  }

  #sayLogLine(name: string, line: Uint8Array): void {
    const { paint, colours } = this.#context;
    this.#context.say(`${paint.dim(`${cleanText(name)} │`)} ${cleanLogLine(line, { colours })}`);
  }
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

/** "plan: 2 builds (greet-1.0, libgreet-1.0); 1 output is there". */
export function printPlan(plan: BuildEvent & { kind: "plan" }): string {
  const there = plan.alreadyValid === 0 ? "" : `; ${count(plan.alreadyValid, "output is", "outputs are")} there`;
  if (plan.toBuild.length === 0) return "nothing to build: all is there";
  const names = plan.toBuild.slice(0, 5).map((goal) => cleanText(goal.name));
  const more = plan.toBuild.length > names.length ? `, and ${plan.toBuild.length - names.length} more` : "";
  return `plan: ${count(plan.toBuild.length, "build")} (${names.join(", ")}${more})${there}`;
}

/** The exit status that a list of results asks for: 0, or 1 as soon as one target is not there. */
export function exitStatusOf(results: readonly BuildResult[]): 0 | 1 {
  return results.every((result) => result.status === "built" || result.status === "already-valid") ? 0 : 1;
}

function printPrevented(names: readonly string[]): string {
  const shown = names.slice(0, 5).map(cleanText).join(", ");
  return `not built because of it: ${shown}${names.length > 5 ? `, and ${names.length - 5} more` : ""}`;
}
