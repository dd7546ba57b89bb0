/** Processes of this machine, as /proc shows them. */
import { readdirSync, readFileSync } from "node:fs";

/** The ids of all processes whose command line holds the text; not this one's. */
export function findProcesses(text: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== process.pid && commandLine(pid).includes(text));
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1").replaceAll("\0", " ");
  } catch {
    return ""; // it has ended meanwhile
  }
}
