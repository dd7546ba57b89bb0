/** What goes on in the daemon, as lines for a person: each request, and below it its builds. */
import { readFileSync } from "node:fs";
import type { Activity, BuildActivity, RequestActivity, WaitReason } from "../api/activity.ts";
import type { CancelResult, Wanter } from "../api/requests.ts";
import { cleanText, type Painter } from "./terminal.ts";
import { count, printBytes, printDuration } from "./units.ts";

/** Of the builds of one request that wait, so many are named. */
const namedWaiting = 10;

export function printActivity(activity: Activity, { nowMs, paint }: { nowMs: number; paint: Painter }): string[] {
  const names = new UserNames();
  return activity.requests.flatMap((request) => {
    const builds = activity.builds.filter(({ requests }) => requests.includes(request.id));
    const waiting = builds.filter(({ state }) => state === "waiting");
    const shown = [...builds.filter(({ state }) => state !== "waiting"), ...waiting.slice(0, namedWaiting)];
    const lines = shown.map((build) => printBuild(build, request.id, nowMs, paint));
    if (waiting.length > namedWaiting) lines.push(`and ${waiting.length - namedWaiting} more that wait`);
    return [
      printRequest(request, nowMs, paint, names),
      ...lines.map((line, index) => `${paint.dim(index === lines.length - 1 ? "└─" : "├─")} ${line}`),
    ];
  });
}

function printRequest(request: RequestActivity, nowMs: number, paint: Painter, names: UserNames): string {
  const { id, startedAtMs, total, done, failed, priority, detached, clients } = request;
  const parts = [
    printAsker(request, names),
    `for ${printDuration(nowMs - startedAtMs)}`,
    `${done} of ${count(total, "build")} done${failed > 0 ? `, ${failed} of them failed` : ""}`,
    ...(priority === 0 ? [] : [`priority ${priority}`]),
    ...(detached ? [`detached${clients > 0 ? `, ${clients} attached` : ""}`] : []),
  ];
  return `${paint.bold(id)} ${parts.join(", ")}`;
}

function printBuild(build: BuildActivity, requestId: string, nowMs: number, paint: Painter): string {
  const since = printDuration(nowMs - build.sinceMs);
  const others = build.requests.filter((id) => id !== requestId);
  const { cpuMicroseconds, memoryBytes, expectedWallMs } = build;
  const parts = [
    {
      waiting: `${printReason(build.waitsFor)} (${since})`,
      running: `runs for ${since}`,
      settling: `is being registered for ${since}`,
    }[build.state],
    ...(expectedWallMs === undefined || build.state === "settling"
      ? []
      : [`took ${printDuration(expectedWallMs)} before`]),
    ...(cpuMicroseconds === undefined ? [] : [`CPU ${printDuration(cpuMicroseconds / 1000)}`]),
    ...(memoryBytes === undefined ? [] : [printBytes(BigInt(Math.round(memoryBytes)))]),
    ...(others.length === 0 ? [] : [`shared with ${others.join(", ")}`]),
  ];
  const record = build.recordId === undefined ? "" : ` ${paint.dim(build.recordId)}`;
  return `${cleanText(build.name)}  ${parts.join(", ")}${record}`;
}

function printReason(reason: WaitReason | undefined): string {
  switch (reason?.kind) {
    case undefined:
      return "waits";
    case "dependencies": {
      const more = reason.count - reason.names.length;
      const names = reason.names.map(cleanText).join(", ");
      if (names === "") return `waits for ${count(reason.count, "build")}`;
      return `waits for ${names}${more > 0 ? ` and ${more} more` : ""}`;
    }
    case "slot":
      return "waits for a job to end";
    case "share":
      return "waits for its user's turn";
    case "memory":
      return `waits for memory: ${printBytes(BigInt(reason.neededBytes))} needed, ${printBytes(BigInt(reason.freeBytes))} free`;
    case "cores":
      return "waits for processors";
    case "disk":
      return `waits for room on the disk: ${printBytes(BigInt(reason.freeBytes))} free`;
    case "build-user":
      return "waits for a build user";
    case "stopping":
      return "waits for the next daemon: this one is ending";
    default:
      return reason satisfies never;
  }
}

export function printCancelled(id: string, { kind, builds, dropped }: CancelResult): string[] {
  const names = new UserNames();
  const lines = builds.map(({ name, goesOn, wantedBy }) => {
    const who = wantedBy.map((wanter) => `${wanter.id} (${printAsker(wanter, names)})`).join(", ");
    if (goesOn) return `${cleanText(name)} goes on: ${who} ${wantedBy.length === 1 ? "wants" : "want"} it, too`;
    return `${cleanText(name)} is cancelled${kind === "build" ? `; it was wanted by ${who}` : ""}`;
  });
  if (dropped > 0) lines.push(`${count(dropped, "build")} will not be started`);
  return lines.length === 0 ? [`nothing of ${id} was left to cancel`] : lines;
}

function printAsker({ uid, pid }: Omit<Wanter, "id">, names: UserNames): string {
  const user = uid === undefined ? "the daemon" : names.find(uid);
  return pid === undefined ? user : `${user}, process ${pid}`;
}

/** The names of this machine's users; the file is read when the first is asked for. */
class UserNames {
  #names: Map<number, string> | undefined;

  find(uid: number): string {
    this.#names ??= readNames();
    return this.#names.get(uid) ?? `user ${uid}`;
  }
}

function readNames(): Map<number, string> {
  try {
    const rows = readFileSync("/etc/passwd", "utf8")
      .split("\n")
      .map((line) => line.split(":"));
    return new Map(rows.map(([name = "", , uid]) => [Number(uid ?? Number.NaN), cleanText(name)]));
  } catch {
    return new Map(); // then users are numbers
  }
}
