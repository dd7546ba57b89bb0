/** Numbers as a person writes and reads them. */
import { type LimitName, limitRows, parseLimit } from "../api/build-limits.ts";
import { CliError } from "./errors.ts";

/** "3 builds", "1 build". */
export function count(number: number, noun: string, plural = `${noun}s`): string {
  return `${number} ${number === 1 ? noun : plural}`;
}

/** "812 bytes", "4.2 MiB". */
export function printBytes(bytes: bigint): string {
  if (bytes < 1024n) return `${bytes} ${bytes === 1n ? "byte" : "bytes"}`;
  let value = Number(bytes);
  let unit = -1;
  const units = ["KiB", "MiB", "GiB", "TiB", "PiB"];
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** "35 ms", "2.4 s", "3 min 5 s". */
export function printDuration(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.max(0, Math.round(milliseconds))} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Throws CLI_NUMBER_INVALID. */
export function parseCount(option: string, value: string): number {
  if (!/^[0-9]{1,9}$/.test(value)) throw new CliError("CLI_NUMBER_INVALID", { option, value });
  return Number(value);
}

/** "12h" ago, or a date; in milliseconds since 1970. Throws CLI_TIME_INVALID. */
export function parseTime(option: string, value: string, nowMs: number): number {
  const [, number, unit] = /^([0-9]{1,9})([smhdw])$/.exec(value) ?? [];
  if (number !== undefined && unit !== undefined) return nowMs - Number(number) * (unitMs[unit] ?? 0);
  const at = /^[0-9]{4}-[0-9]{2}-[0-9]{2}/.test(value)
    ? new Date(value.length === 10 ? `${value}T00:00` : value).getTime()
    : Number.NaN;
  if (Number.isNaN(at)) throw new CliError("CLI_TIME_INVALID", { option, value });
  return at;
}

const unitMs: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** "2026-11-25 08:30:07", as it is called where this runs. */
export function printTimeOfDay(milliseconds: number): string {
  const date = new Date(milliseconds - new Date(milliseconds).getTimezoneOffset() * 60_000);
  return date.toISOString().slice(0, 19).replace("T", " ");
}

const factors: Readonly<Record<string, bigint>> = { "": 1n, K: 1n << 10n, M: 1n << 20n, G: 1n << 30n, T: 1n << 40n };

/** Throws CLI_SIZE_INVALID, CLI_NUMBER_INVALID. */
export function parseLimitOption(name: LimitName, value: string): number {
  const { word, unit } = limitRows[name];
  const limit = parseLimit(name, value);
  if (limit !== undefined) return limit;
  throw new CliError(unit === "size" ? "CLI_SIZE_INVALID" : "CLI_NUMBER_INVALID", { option: `--${word}`, value });
}

/** "500M" → bytes; K, M, G, T are powers of 1024. Throws CLI_SIZE_INVALID. */
export function parseSize(option: string, value: string): bigint {
  const match = /^([0-9]{1,15})([KMGT]?)(?:iB|B)?$/i.exec(value);
  const factor = match === null ? undefined : factors[(match[2] as string).toUpperCase()];
  if (match === null || factor === undefined) throw new CliError("CLI_SIZE_INVALID", { option, value });
  return BigInt(match[1] as string) * factor;
}
