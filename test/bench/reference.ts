/** `ref`, the bare fork and exec of the builder on this machine in this run: what absolute times are held against. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { busybox } from "./workload.ts";

/** Milliseconds of one vfork, exec and wait of `busybox sh -c 'echo hi > $out'`, the median of `count`. */
export function measureReference(temporary: string, count: number): number {
  const program = compileReference(temporary);
  const builder = busybox ?? "/bin/busybox";
  const answer = execFileSync(program, [
    String(count),
    join(temporary, "ref-out"),
    builder,
    "sh",
    "-c",
    "echo hi > $out",
  ]);
  return Number(answer) / 1000;
}

function compileReference(temporary: string): string {
  const program = join(temporary, "ref");
  execFileSync("g++", ["-x", "c", "-O2", "-o", program, new URL("./ref.c", import.meta.url).pathname]);
  return program;
}
