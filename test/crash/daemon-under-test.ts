/**
 * A real daemon, in a process of its own, that strikes once at a named line: itself, its launcher, the builder's
 * processes or the client. usage: daemon-under-test.ts ROOT [POINT NTH VICTIM DELAY_MS]; it says "ready" when it listens.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { main } from "../../daemon/server/main.ts";
import { type CrashPoint, crashPoints, setCrashPoint } from "../../store/crash-points.ts";
import { struckFile, type Victim } from "./moments.ts";

const [root = "", point, nth = "1", victim = "daemon", delay = "0"] = process.argv.slice(2);

if (point !== undefined) {
  const known = crashPoints.find((one): one is CrashPoint => one === point);
  if (known === undefined) throw new Error(`no crash point ${point}`);
  setCrashPoint(known, Number(nth), () => {
    writeFileSync(struckFile(root), point); // so that a moment that never came is not counted
    if (delay === "0") strike(victim as Victim);
    else setTimeout(() => strike(victim as Victim), Number(delay));
  });
}

process.exitCode = await main(["--root", root, "--idle-exit", "0", "--ready-fd", "3", "--log-level", "error"]);

function strike(who: Victim): void {
  const launchers = childrenOf(process.pid);
  if (who === "daemon") process.kill(process.pid, "SIGKILL");
  else if (who === "launcher") launchers.forEach(kill);
  else if (who === "builder") launchers.flatMap(childrenOf).flatMap(descendantsOf).forEach(kill);
  else clients().forEach(kill);
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // it has ended by itself, which is as good, or it has an identity of its own that we may not signal
  }
}

function childrenOf(pid: number): number[] {
  const found: number[] = [];
  for (const thread of readDirectory(`/proc/${pid}/task`))
    found.push(
      ...readText(`/proc/${pid}/task/${thread}/children`)
        .split(" ")
        .filter((text) => text !== "")
        .map(Number),
    );
  return found;
}

function descendantsOf(pid: number): number[] {
  return [...childrenOf(pid).flatMap(descendantsOf), pid];
}

/** Processes that run the client of this harness against our root. */
function clients(): number[] {
  return readDirectory("/proc")
    .filter((name) => /^[0-9]+$/.test(name))
    .filter((name) => {
      const command = readText(`/proc/${name}/cmdline`);
      return command.includes("client-under-test") && command.includes(root);
    })
    .map(Number);
}

function readDirectory(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return []; // gone while we looked
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // gone while we looked
  }
}
