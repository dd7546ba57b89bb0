/** A build's log as it comes, as lines; and which lines tell of a phase. The log is hostile: nothing is kept without bound. */
import { cleanText } from "./terminal.ts";

/** A longer line is handed on in pieces. */
const longestLine = 64 * 1024;

export class LineSplitter {
  #partial: Uint8Array = new Uint8Array(0);

  /** The lines that are complete now, without their ends. */
  *push(bytes: Uint8Array): Generator<Uint8Array> {
    let start = 0;
    for (let end = bytes.indexOf(lineFeed); end >= 0; end = bytes.indexOf(lineFeed, start)) {
      const rest = bytes.subarray(start, end);
      yield this.#partial.length === 0 ? rest : Buffer.concat([this.#partial, rest]);
      this.#partial = empty;
      start = end + 1;
    }
    if (start === bytes.length) return;
    this.#partial = Buffer.concat([this.#partial, bytes.subarray(start)]);
    if (this.#partial.length > longestLine) yield this.end();
  }

  /** What has no end yet. */
  get partial(): Uint8Array {
    return this.#partial;
  }

  /** The last line, which has no end; empty if there is none. */
  end(): Uint8Array {
    const rest = this.#partial;
    this.#partial = empty;
    return rest;
  }
}

/**
 * The phase that a line of a log says has begun, cleaned and short. Sources: Nix manual, "Builder Execution": with
 * NIX_LOG_FD a builder may write `@nix {"action":"setPhase","phase":"buildPhase"}`; Guix's gnu-build-system writes
 * "starting phase `build'".
 */
export function findPhase(line: Uint8Array): string | undefined {
  if (line.length > longestPhaseLine || (line[0] !== at && line[0] !== letterS)) return undefined;
  const text = Buffer.from(line).toString("utf8");
  const phase = text.startsWith("@nix ") ? phaseOfJson(text.slice(5)) : /^starting phase `([^']+)'$/.exec(text)?.[1];
  return phase === undefined ? undefined : cleanText(phase).slice(0, 40);
}

/** What a terminal would show of a line last: a progress display writes over itself. */
export function lastWritten(line: Uint8Array): Uint8Array {
  const end = line.at(-1) === carriageReturn ? line.length - 1 : line.length;
  const start = line.lastIndexOf(carriageReturn, end - 1) + 1;
  return line.subarray(end === 0 ? 0 : start, end);
}

function phaseOfJson(text: string): string | undefined {
  try {
    const message: unknown = JSON.parse(text);
    if (typeof message !== "object" || message === null) return undefined;
    const { action, phase } = message as { readonly action?: unknown; readonly phase?: unknown };
    return action === "setPhase" && typeof phase === "string" ? phase : undefined;
  } catch {
    return undefined; // then it is a line like any other
  }
}

const longestPhaseLine = 1024;
const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const at = 0x40;
const letterS = 0x73;
const empty = new Uint8Array(0);
