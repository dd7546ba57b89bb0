/** `ref`, the bare fork and exec of the builder on this machine in this run: what absolute times are held against. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { busybox } from "./workload.ts";

/** Milliseconds of one vfork, exec and wait of `busybox sh -c 'echo hi > $out'`, the median of `count`. */
export function measureReference(temporary: string, count: number): number {
  return measureProgram(temporary, count, [busybox ?? "/bin/busybox", "sh", "-c", "echo hi > $out"]);
}

/** The same for any program. */
export function measureProgram(temporary: string, count: number, command: readonly string[]): number {
  const answer = execFileSync(compileReference(temporary), [String(count), join(temporary, "ref-out"), ...command], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  return Number(answer) / 1000;
}

function compileReference(temporary: string): string {
  const program = join(temporary, "ref");
  execFileSync("g++", ["-x", "c", "-O2", "-o", program, new URL("./ref.c", import.meta.url).pathname]);
  return program;
}
