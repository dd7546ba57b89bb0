/** Wrong usage, as commander finds it, told like every other error: what is wrong, what was meant, and the code. */
import type { Command } from "commander";
import { findNearest } from "../api/nearest.ts";
import { CliError } from "./errors.ts";

/**
 * Commander words its errors for a terminal, "error: …" with "(Did you mean …?)" in a line of its own; it gives no
 * parts, so they are taken apart here.
 */
export function usageError(command: Command, text: string): InstanceType<typeof CliError> {
  const [first = "", ...rest] = text.trim().split("\n");
  const guess = /^\(Did you mean (.*)\?\)$/.exec(rest.join(" "))?.[1];
  return makeUsageError(command, first.replace(/^error: /, ""), guess);
}

/** For a command that has an action and verbs: what follows it must be one of the verbs. */
export function assertNoUnknownVerb(command: Command): void {
  const [unknown] = command.args;
  if (unknown === undefined) return;
  const [guess] = findNearest(
    unknown,
    command.commands.map((verb) => verb.name()),
  );
  throw makeUsageError(command, `unknown command '${unknown}'`, guess);
}

function makeUsageError(command: Command, problem: string, guess: string | undefined): InstanceType<typeof CliError> {
  return new CliError("CLI_USAGE", { problem, command: fullName(command), ...(guess === undefined ? {} : { guess }) });
}

/** "cloister roots add". */
function fullName(command: Command): string {
  return command.parent === null ? command.name() : `${fullName(command.parent)} ${command.name()}`;
}
