/** How an error is shown to a person: what failed, why, what to do, and the code to search for. */
import { CloisterError, type ErrorData } from "../../derivations/error.ts";
import { cleanLines, type Painter } from "./terminal.ts";

/** Some lines: "error: …", the chain of causes, "hint: …". No line end after the last. */
export function printFailure(error: unknown, paint: Painter): string {
  const data = errorData(error);
  const lines = [printHeadline(data, paint)];
  // Most messages hold their cause's own.
  for (const cause of causesOf(error))
    if (!data.message.includes(cause)) lines.push(`${paint.dim("because:")} ${cleanLines(cause)}`);
  if (data.hint !== "") lines.push(`${paint.bold("hint:")} ${cleanLines(data.hint)}`);
  return lines.join("\n");
}

/** "error: what failed [CODE]", and the further lines of a message that has some. */
export function printHeadline(error: Pick<ErrorData, "code" | "message">, paint: Painter): string {
  const [first = "", ...rest] = cleanLines(error.message).split("\n");
  return [`${paint.red(paint.bold("error:"))} ${first} ${paint.dim(`[${error.code}]`)}`, ...rest].join("\n");
}

/** The same for a program: what `--json` prints on stdout when a command failed. */
export function errorData(error: unknown): ErrorData {
  if (error instanceof CloisterError) return error.toData();
  const message = error instanceof Error ? error.message : String(error);
  return {
    code: "INTERNAL",
    message: message === "" ? "something failed without saying why" : message,
    hint: "This is a fault in cloister: please report it, with the output of the same command under `CLOISTER_DEBUG=1`",
    details: {},
  };
}

function causesOf(error: unknown): string[] {
  const causes: string[] = [];
  let cause = error instanceof Error ? error.cause : undefined;
  // Five levels are more than any of ours has; the limit only guards against a cause that refers to itself.
  while (cause instanceof Error && causes.length < 5) {
    causes.push(cause.message);
    cause = cause.cause;
  }
  return causes;
}
