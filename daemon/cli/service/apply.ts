/** Does the steps of a plan. Each file appears as a whole or not at all. */
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { CliError } from "../errors.ts";
import type { Step } from "./plan.ts";

export interface ApplyOptions {
  readonly rootDirectory: string;
  /** What a step did that may fail, and how it failed. */
  readonly onNotice: (text: string) => void;
}

/** Throws CLI_SERVICE_STEP_FAILED; what was done by then stays, and a second try goes on from there. */
export function applyPlan(steps: readonly Step[], options: ApplyOptions): void {
  for (const step of steps) {
    try {
      applyStep(step, options.rootDirectory);
    } catch (error) {
      const reason = (error as Error).message;
      if (step.kind === "run" && step.optional) options.onNotice(`${describeStep(step)}: ${reason}`);
      else throw new CliError("CLI_SERVICE_STEP_FAILED", { step: describeStep(step), reason }, { cause: error });
    }
  }
}

/** One line of a plan, for a person. */
export function describeStep(step: Step): string {
  switch (step.kind) {
    case "write":
      return `write   ${step.path}`;
    case "add-line":
      return `add to  ${step.path}: ${step.line}`;
    case "remove-line":
      return `take from ${step.path}: ${step.line}`;
    case "remove":
      return `remove  ${step.path}`;
    case "run":
      return `run     ${step.command.join(" ")}`;
    case "keep":
      return `keep    ${step.what}: ${step.why}`;
    default:
      return step satisfies never;
  }
}

function applyStep(step: Step, rootDirectory: string): void {
  switch (step.kind) {
    case "write":
      replaceFile(join(rootDirectory, step.path), step.text, step.mode);
      return;
    case "add-line": {
      const file = join(rootDirectory, step.path);
      const text = existsSync(file) ? readFileSync(file, "utf8") : "";
      replaceFile(file, `${text}${text === "" || text.endsWith("\n") ? "" : "\n"}${step.line}\n`);
      return;
    }
    case "remove-line": {
      const file = join(rootDirectory, step.path);
      const lines = readFileSync(file, "utf8").split("\n");
      replaceFile(file, lines.filter((line) => line !== step.line).join("\n"));
      return;
    }
    case "remove":
      rmSync(join(rootDirectory, step.path), { force: true });
      return;
    case "run":
      runCommand(step.command);
      return;
    case "keep":
      return;
    default:
      step satisfies never;
  }
}

/** Owner and permissions of a file that is there stay as they are. */
function replaceFile(file: string, text: string, mode = 0o644): void {
  mkdirSync(dirname(file), { recursive: true });
  const there = statSync(file, { throwIfNoEntry: false });
  const made = `${file}.cloister-new`;
  writeFileSync(made, text);
  chmodSync(made, there === undefined ? mode : there.mode & 0o7777);
  if (there !== undefined) chownSync(made, there.uid, there.gid);
  renameSync(made, file);
}

function runCommand([program = "", ...args]: readonly string[]): void {
  const { error, status, signal, stderr } = spawnSync(program, args, {
    stdio: ["ignore", "ignore", "pipe"],
    encoding: "utf8",
  });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`it ended with ${signal ?? `exit status ${status}`}: ${stderr.trim()}`);
}
