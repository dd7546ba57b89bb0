/**
 * The picture of a build that runs: a line for each of its builds, oldest first, and a last one that says how it stands.
 * Pure: what is known, the time and the size of the terminal make the lines.
 */
import type { BuildTracker, RunningBuild } from "./build-tracker.ts";
import { estimateMs, printEstimate } from "./estimate.ts";
import { cleanLogLine, cleanText, type Painter } from "./terminal.ts";
import { cutToWidth, padToWidth, widthOf } from "./text-width.ts";
import { printDuration } from "./units.ts";

export interface PictureOptions {
  readonly nowMs: number;
  readonly columns: number;
  readonly rows: number;
  /** How many builds the daemon runs at a time. */
  readonly jobs: number;
  readonly paint: Painter;
  readonly colours: boolean;
  /** Not where whole logs are shown above it. */
  readonly lastLines: boolean;
}

/** At most a third of the screen, each line shorter than it is wide. */
export function drawPicture(tracker: BuildTracker, options: PictureOptions): string[] {
  const columns = options.columns - 1; // in the last column some terminals begin a new line
  const most = Math.floor(options.rows / 3);
  if (most < 1 || columns < 10) return [];
  const running = [...tracker.running.values()];
  const room = most - 1;
  const shown = running.length <= room ? running : running.slice(0, Math.max(0, room - 1));
  const widest = shown.reduce((widthest, { name }) => Math.max(widthest, widthOf(cleanText(name))), 0);
  const nameWidth = Math.min(widest, Math.max(12, Math.floor(columns * 0.35)));
  const lines = shown.map((build) => cutToWidth(drawBuild(build, nameWidth, options), columns));
  if (shown.length < running.length && room > 0)
    lines.push(cutToWidth(options.paint.dim(`  … and ${running.length - shown.length} more run`), columns));
  lines.push(drawSum(tracker, options, columns));
  return lines;
}

function drawBuild(build: RunningBuild, nameWidth: number, options: PictureOptions): string {
  const { paint, colours, nowMs, lastLines } = options;
  const ranMs = nowMs - build.sinceMs;
  const parts = [`${paint.bold("▸")} ${padToWidth(cleanText(build.name), nameWidth)}`];
  if (build.phase !== undefined) parts.push(paint.yellow(build.phase));
  if (ranMs >= 1000) parts.push(paint.dim(`${printSeconds(ranMs)}${printUsual(build.expectedMs)}`));
  if (lastLines && build.lastLine !== undefined) {
    // The rest of a line that is much longer than the screen need not be looked at.
    const text = cleanLogLine(build.lastLine.subarray(0, options.columns * 8), { colours }).trim();
    if (text !== "") parts.push(colours ? `${text}\u001b[0m` : text);
  }
  return parts.join("  ");
}

function printUsual(expectedMs: number | undefined): string {
  return expectedMs === undefined || expectedMs < 1000 ? "" : ` of ${printEstimate(expectedMs)}`;
}

/** What matters least goes first where it is narrow. */
function drawSum(tracker: BuildTracker, options: PictureOptions, columns: number): string {
  const { paint, nowMs, jobs } = options;
  const { running, waiting, finished, planned, failed } = tracker;
  const estimate = estimateMs(
    [
      ...Array.from(running.values(), ({ expectedMs, sinceMs }) => ({ expectedMs, ranMs: nowMs - sinceMs })),
      ...Array.from(waiting.values(), (expectedMs) => ({ expectedMs, ranMs: 0 })),
    ],
    jobs,
  );
  const parts = [
    `${finished} of ${planned} done`,
    ...(failed.length > 0 ? [paint.red(`${failed.length} failed`)] : []),
    // An estimate that has been used up says nothing any more.
    ...(estimate === undefined || estimate < 500 ? [] : [`${printEstimate(estimate)} left`]),
    `${running.size} running`,
    ...(waiting.size > 0 ? [`${waiting.size} waiting`] : []),
    ...(nowMs - tracker.startedAtMs >= 1000 ? [paint.dim(`${printSeconds(nowMs - tracker.startedAtMs)} so far`)] : []),
  ];
  while (parts.length > 1 && widthOf(parts.join(" · ")) > columns) parts.pop();
  return cutToWidth(parts.join(" · "), columns);
}

/** Whole seconds: a number that changes ten times a second is not calm. */
function printSeconds(milliseconds: number): string {
  return milliseconds < 60_000 ? `${Math.floor(milliseconds / 1000)} s` : printDuration(milliseconds);
}
