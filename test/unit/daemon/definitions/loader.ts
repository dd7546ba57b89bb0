/**
 * Definitions loaded as a person's are: by a Node of its own, started far from any npm project. (In vitest's own process
 * its loader would take the place of Node's.) Descriptions are plain data, so they survive the way back as JSON.
 */
import { spawn } from "node:child_process";
import { tmpdir } from "node:os";
import { createInterface } from "node:readline";
import type { Target } from "../../../../daemon/definitions/target.ts";

export interface Answer {
  readonly targets?: readonly Target[];
  readonly code?: string;
  readonly details?: Readonly<Record<string, unknown>>;
  readonly hint?: string;
}

export interface Loader extends Disposable {
  /** `loadTargets`, or the error that it threw. */
  load(text: string, cwd: string): Promise<Answer>;
  /** All that was written to standard error so far. */
  complaints(): string;
}

/** Node 22 does not know `using`, which our sources have: there it is the compiled program that loads. */
const isOld = Number(process.versions.node.split(".")[0]) < 24;
const place = isOld ? "../../../../dist/daemon/definitions/target.js" : "../../../../daemon/definitions/target.ts";
const target = new URL(place, import.meta.url).href;

/** Answers each line of JSON with one. */
const program = `
  import { createInterface } from "node:readline";
  const { loadTargets } = await import(${JSON.stringify(target)});
  for await (const line of createInterface({ input: process.stdin })) {
    const { text, cwd } = JSON.parse(line);
    let answer;
    try {
      answer = { targets: await loadTargets(text, { cwd }) };
    } catch ({ code, details, hint, stack }) {
      answer = { code, details, hint, stack };
    }
    console.log(JSON.stringify(answer));
  }`;

export function startLoader(): Loader {
  const child = spawn(process.execPath, ["--input-type=module", "--eval", program], { cwd: tmpdir() });
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  let complaints = "";
  child.stderr.on("data", (bytes: Buffer) => {
    complaints += bytes.toString();
  });
  return {
    async load(text, cwd) {
      child.stdin.write(`${JSON.stringify({ text, cwd })}\n`);
      const { value, done } = await answers.next();
      if (done === true) throw new Error(`the loading process ended: ${complaints}`);
      return JSON.parse(value);
    },
    complaints: () => complaints,
    [Symbol.dispose]: () => child.kill(),
  };
}
