/** Limits under the second version of control groups, in a guest that has all of its controllers. */
import { describe, expect, test } from "vitest";
import { guestsMissing, runGuest } from "./run-guest.ts";

interface Line {
  readonly name: string;
  readonly ending: {
    readonly kind: string;
    readonly limit?: number;
    readonly reached?: number;
    readonly code?: number;
  };
  readonly unenforced: readonly string[];
  readonly took: Readonly<Record<string, number>>;
  readonly alone: number;
  readonly beside: number;
  readonly left: readonly string[];
}

const mebibyte = 2 ** 20;

describe.for([
  { strength: "root", user: "root" },
  { strength: "range", user: "ada" },
  { strength: "single", user: "ada" },
])("control groups of version 2 in $strength strength", ({ strength, user }) => {
  test("every taker is ended within its limit, and what was taken is told", { timeout: 400_000 }, async ({ skip }) => {
    skip(guestsMissing !== "", guestsMissing);
    const script = `node /repository/test/vm/guests/limits.mjs ${strength} ${user} auto`;
    const { output, exitStatus } = await runGuest({ script });
    expect(exitStatus, output).toBe(0);
    const lines = new Map<string, Line>();
    for (const text of output.split("\n").filter((line) => line.startsWith("{"))) {
      const line = JSON.parse(text) as Line;
      lines.set(line.name, line);
    }
    const of = (name: string): Line => {
      const line = lines.get(name);
      if (line === undefined) throw new Error(`nothing was told of ${name}:\n${output}`);
      return line;
    };
    expect(of("plain").ending).toEqual({ kind: "exited", code: 0 });
    expect(of("memory").ending).toMatchObject({ kind: "out-of-memory", limit: 48 * mebibyte });
    expect(of("memory").took.peakMemoryBytes).toBeGreaterThan(24 * mebibyte);
    expect(of("memory").took.peakMemoryBytes).toBeLessThanOrEqual(48 * mebibyte);
    expect(of("file in memory").ending.kind).toBe("out-of-memory");
    expect(of("processes").ending).toMatchObject({ kind: "too-many-processes", limit: 60 });
    const { cpuUserMicroseconds = 0, cpuSystemMicroseconds = 0, wallMicroseconds = 1 } = of("cpu").took;
    expect((cpuUserMicroseconds + cpuSystemMicroseconds) / wallMicroseconds).toBeLessThan(0.45);
    expect(of("everything at once").ending).toEqual({ kind: "exited", code: 0 });
    expect(of("everything at once").unenforced).toEqual([]);
    expect(of("everything at once").took.writtenBytes).toBeGreaterThanOrEqual(4 * mebibyte);
    expect(of("disk").ending).toMatchObject({ kind: "directory-full", limit: 8 * mebibyte });
    expect(of("disk in memory").ending.kind).toBe("directory-full");
    expect(of("log").ending.kind).toBe("log-limit");
    expect(of("shares").beside).toBeGreaterThan(0.8 * of("shares").alone);
    expect(of("left").left).toEqual([]);
  });
});
