/** The daemon's own log: one JSON object a line (pino), or a readable line where a person watches. */
import { Writable } from "node:stream";
import { type Logger as PinoLogger, pino } from "pino";
import type { logLevels } from "../settings/table.ts";

export type Logger = PinoLogger;

export type LogLevel = (typeof logLevels)[number];

/** Writes to stderr, which is the log file of a daemon in the background. */
export function openLogger(level: LogLevel, options: { readonly readable: boolean }): Logger {
  const settings = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  return options.readable
    ? pino(settings, new ReadableLines(process.stderr))
    : pino(settings, pino.destination({ fd: 2, sync: true })); // a line is there when the process dies right after it
}

/** The id, the code and the sentence of an error, as fields of a log line. */
export function errorFields(error: unknown): { readonly err: Readonly<Record<string, unknown>> } {
  if (!(error instanceof Error)) return { err: { message: String(error) } };
  const { message, stack } = error;
  const code = "code" in error ? { code: error.code } : {};
  const details = "details" in error ? { details: error.details } : {};
  return { err: { ...code, message, ...details, stack } };
}

/** Makes pino's JSON lines into `12:30:05 info  message (field: value)`. */
class ReadableLines extends Writable {
  readonly #out: NodeJS.WritableStream;

  constructor(out: NodeJS.WritableStream) {
    super({ decodeStrings: false });
    this.#out = out;
  }

  override _write(line: string, _encoding: string, done: () => void): void {
    this.#out.write(readableLine(line));
    done();
  }
}

export function readableLine(line: string): string {
  const { level, time, msg, ...fields } = JSON.parse(line) as { level: number; time: string; msg?: string };
  const clock = new Date(time).toTimeString().slice(0, 8);
  const label = (pino.levels.labels[level] ?? String(level)).padEnd(5);
  const rest = Object.entries(fields).map(([name, value]) => `${name}: ${printField(value)}`);
  const tail = rest.length === 0 ? "" : ` (${rest.join(", ")})`;
  return `${clock} ${label} ${printable(`${msg ?? ""}${tail}`)}\n`;
}

function printField(value: unknown): string {
  if (typeof value !== "object" || value === null) return String(value);
  if ("message" in value) return `${value.message}${"code" in value ? ` [${value.code}]` : ""}`;
  return JSON.stringify(value);
}

/** Names and messages may come from others: no control character reaches the terminal. */
function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
