/** Where in the user's files a description was made: for paths relative to that file, and for errors that name it. */
import { fileURLToPath } from "node:url";

export interface Place {
  /** Absolute path. */
  readonly file: string;
  readonly line: number;
}

/** The place that called the function which calls this one, or undefined where that is no file (`node --eval`). */
export function findCaller(): Place | undefined {
  const call = captureCalls(4)[3]; // after captureCalls, findCaller, and the function that calls it
  const name = call?.getFileName();
  if (typeof name !== "string") return undefined;
  const line = call?.getLineNumber() ?? 0;
  if (name.startsWith("file:")) return { file: fileURLToPath(name.replace(/[?#].*$/, "")), line };
  return name.startsWith("/") ? { file: name, line } : undefined;
}

/** The engine's structured stack, whatever the program has set to print stacks. */
function captureCalls(depth: number): readonly NodeJS.CallSite[] {
  const { prepareStackTrace, stackTraceLimit } = Error;
  try {
    Error.stackTraceLimit = depth;
    Error.prepareStackTrace = (_error, calls) => calls;
    return new Error().stack as unknown as readonly NodeJS.CallSite[];
  } finally {
    Error.prepareStackTrace = prepareStackTrace;
    Error.stackTraceLimit = stackTraceLimit;
  }
}
