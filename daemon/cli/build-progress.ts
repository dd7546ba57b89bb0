/**
 * A build as a person follows it: the plan first, then what starts and ends, then what failed and why. On a terminal a
 * picture of what runs is painted below that; elsewhere each change of state is one line.
 */
import type { BuildResult } from "../../derivations/build-result.ts";
import type { StorePath } from "../../derivations/store-path.ts";
import type { BuildEvent } from "../api/events.ts";
import type { Status } from "../api/service.ts";
import { BuildTracker, type Finished, type Plan } from "./build-tracker.ts";
import type { Context } from "./context.ts";
import { estimateMs, printEstimate } from "./estimate.ts";
import { reportFailures } from "./failure-report.ts";
import type { LiveRegion } from "./live-region.ts";
import { findPhase, LineSplitter } from "./log-lines.ts";
import { divertLines } from "./output-stream.ts";
import { cleanLogLine, cleanText } from "./terminal.ts";
import { count, printDuration } from "./units.ts";

export interface ProgressOptions {
  readonly showLogs: boolean;
  readonly status: Status;
  /** The command that goes on after a failure, if another than this one does. */
  readonly goOn?: string;
}

export class BuildProgress implements Disposable {
  readonly #context: Context;
  readonly #options: ProgressOptions;
  readonly #tracker = new BuildTracker(() => performance.now());
  /** Of the builds that run, while logs are shown. */
  readonly #logs = new Map<StorePath, LineSplitter>();
  readonly #refused: Finished[] = [];
  #region: LiveRegion | undefined;

  private constructor(context: Context, options: ProgressOptions) {
    this.#context = context;
    this.#options = options;
  }

  static async begin(context: Context, options: ProgressOptions): Promise<BuildProgress> {
    const progress = new BuildProgress(context, options);
    if (context.isLive) await progress.#paintPicture();
    return progress;
  }

  show(event: BuildEvent): void {
    const ran = event.kind !== "plan" && this.#tracker.running.has(event.drvPath);
    this.#tracker.note(event);
    this.#region?.refresh();
    switch (event.kind) {
      case "plan":
        this.#context.say(printPlan(event, this.#options.status.maxJobs));
        return;
      case "build-started":
        if (this.#region === undefined)
          this.#context.say(`${this.#context.paint.bold("▸")} building ${cleanText(event.name)}`);
        return;
      case "build-log":
        if (this.#options.showLogs) this.#showLog(event.drvPath, event.name, event.bytes);
        return;
      case "build-finished":
        if (this.#options.showLogs) this.#endLog(event.drvPath, event.name);
        this.#showEnd(event, ran);
        return;
      default:
        event satisfies never;
    }
  }

  /** Of the builds that have started and not ended: the ids of their records, and their names. */
  get running(): ReadonlyMap<string, string> {
    return new Map(Array.from(this.#tracker.running.values(), ({ recordId, name }) => [recordId, name]));
  }

  /** The picture goes, what was printed stays. */
  [Symbol.dispose](): void {
    if (this.#region === undefined) return;
    divertLines(undefined);
    this.#region[Symbol.dispose]();
    this.#region = undefined;
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

  /** Nothing when all went well. */
  showFailures(): void {
    const { paint, colours } = this.#context;
    const { showLogs: showedLogs, status, goOn } = this.#options;
    const { rows = 40, columns = 100 } = process.stderr;
    const options = { paint, colours, rows, columns, showedLogs, status, ...(goOn !== undefined && { goOn }) };
    for (const line of reportFailures(this.#tracker, options)) this.#context.say(line);
  }

  /** What paints is loaded only where it is painted. */
  async #paintPicture(): Promise<void> {
    const [{ LiveRegion }, { drawPicture }] = await Promise.all([
      import("./live-region.ts"),
      import("./live-picture.ts"),
    ]);
    const { paint, colours } = this.#context;
    const { status, showLogs } = this.#options;
    const options = { jobs: status.maxJobs, paint, colours, lastLines: !showLogs };
    const region = new LiveRegion(process.stderr, (size) =>
      this.#tracker.planned === 0 ? [] : drawPicture(this.#tracker, { ...options, ...size, nowMs: performance.now() }),
    );
    this.#region = region;
    divertLines((line) => region.print(line));
  }

  #showEnd(event: Finished, ran: boolean): void {
    const { paint } = this.#context;
    const { planned, finished } = this.#tracker;
    const name = cleanText(event.name);
    const left = planned > 1 ? paint.dim(` (${finished} of ${planned})`) : "";
    const took = event.result.wallMs === undefined ? "" : ` in ${printDuration(event.result.wallMs)}`;
    const line = {
      built: `${paint.green("✔")} ${name} built${took}${left}`,
      "already-valid": `${paint.green("✔")} ${name} is there${left}`,
      cancelled: ran ? `${paint.yellow("■")} ${name} cancelled` : undefined, // one that never began is only counted
      failed: `${paint.red("✘")} ${name} failed${took}${left}`,
      "dependency-failed": undefined, // told at the end, after the cause
    }[event.result.status];
    if (line !== undefined) this.#context.say(line);
    if (event.result.refusedCalls !== undefined) this.#refused.push(event);
  }

  #showLog(drvPath: StorePath, name: string, bytes: Uint8Array): void {
    let splitter = this.#logs.get(drvPath);
    if (splitter === undefined) {
      splitter = new LineSplitter();
      this.#logs.set(drvPath, splitter);
    }
    for (const line of splitter.push(bytes)) this.#sayLogLine(name, line);
  }

  #endLog(drvPath: StorePath, name: string): void {
    const rest = this.#logs.get(drvPath)?.end();
    if (rest !== undefined && rest.length > 0) this.#sayLogLine(name, rest);
    this.#logs.delete(drvPath);
  }

  #sayLogLine(name: string, line: Uint8Array): void {
    const { paint, colours } = this.#context;
    // What is written for programs is not for people, but what it says is.
    const phase = line[0] === 0x40 ? findPhase(line) : undefined;
    const text = phase === undefined ? cleanLogLine(line, { colours }) : paint.bold(`phase ${phase}`);
    this.#context.say(`${paint.dim(`${cleanText(name)} │`)} ${text}`);
  }
}

/** "plan: 2 builds (greet-1.0, libgreet-1.0), about 40 s; 1 output is there". */
export function printPlan(plan: Plan, jobs: number): string {
  const there = plan.alreadyValid === 0 ? "" : `; ${count(plan.alreadyValid, "output is", "outputs are")} there`;
  if (plan.toBuild.length === 0) return "nothing to build: all is there";
  const names = plan.toBuild.slice(0, 5).map((goal) => cleanText(goal.name));
  const more = plan.toBuild.length > names.length ? `, and ${plan.toBuild.length - names.length} more` : "";
  const estimate = estimateMs(
    plan.toBuild.map(({ expectedWallMs }) => ({ expectedMs: expectedWallMs, ranMs: 0 })),
    jobs,
  );
  const time = estimate === undefined || estimate < 1000 ? "" : `, ${printEstimate(estimate)}`;
  return `plan: ${count(plan.toBuild.length, "build")} (${names.join(", ")}${more})${time}${there}`;
}

/** The exit status that a list of results asks for: 0, or 1 as soon as one target is not there. */
export function exitStatusOf(results: readonly BuildResult[]): 0 | 1 {
  return results.every((result) => result.status === "built" || result.status === "already-valid") ? 0 : 1;
}
