/**
 * Where two files differ first, and what that looks like: a time of one of the builds, a build directory, a user's id, a
 * host's name. Only what stands there is looked at, so it is a hint and not a proof.
 */
import { constants } from "node:fs";
import { open } from "node:fs/promises";

/** What the two builds had each of its own. */
export interface DifferenceFacts {
  /** When both ran, in milliseconds since 1970; as far as it is known. */
  readonly timesMs: readonly (readonly [fromMs: number, toMs: number])[];
  readonly directories: readonly string[];
  readonly ids: readonly number[];
  readonly hostNames: readonly string[];
}

/** What is looked at of a file, in bytes. */
const lookedAtBytes = 4 * 1024 * 1024;

/** Of two files, whose names are below directories that nobody changes; "" where nothing can be said. */
export async function explainFiles(left: string, right: string, facts: DifferenceFacts): Promise<string> {
  const [first, second] = await Promise.all([readStart(left), readStart(right)]);
  return first === undefined || second === undefined ? "" : explainDifference(first, second, facts);
}

/** "from byte 12 on, "1764000000" and "1764000007": a time of the build". */
export function explainDifference(first: Uint8Array, second: Uint8Array, facts: DifferenceFacts): string {
  const at = firstDifference(first, second);
  if (at === undefined) return "";
  const what = recognise(first, second, at, facts);
  const texts = [first, second].map((bytes) => showAround(bytes, at));
  const shown = texts.every((text) => text !== undefined) ? `, "${texts[0]}" and "${texts[1]}"` : "";
  return `from byte ${at} on${shown}${what === undefined ? "" : `: ${what}`}`;
}

async function readStart(file: string): Promise<Uint8Array | undefined> {
  const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW).catch(() => undefined);
  if (handle === undefined) return undefined;
  try {
    const buffer = Buffer.alloc(Math.min(lookedAtBytes, (await handle.stat()).size));
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

function firstDifference(first: Uint8Array, second: Uint8Array): number | undefined {
  const shorter = Math.min(first.length, second.length);
  for (let at = 0; at < shorter; at += 1) if (first[at] !== second[at]) return at;
  return first.length === second.length ? undefined : shorter;
}

function recognise(first: Uint8Array, second: Uint8Array, at: number, facts: DifferenceFacts): string | undefined {
  const words = [wordAt(first, at), wordAt(second, at)];
  const either = (holds: (word: string) => boolean) => words.some(holds);
  if (either((word) => facts.directories.some((directory) => word.includes(directory)))) return "the build directory";
  if (either((word) => facts.hostNames.some((name) => word.includes(name)))) return "the host name";
  if (words.every((word) => isTime(word, facts)) || isBinaryTime(first, second, at, facts))
    return "a time of the build";
  if (words.every((word) => facts.ids.some((id) => word.split(/[^0-9]+/).includes(String(id)))))
    return "a user or group id";
  if (isDate(first, at) && isDate(second, at)) return "a date";
  return undefined;
}

function isTime(word: string, facts: DifferenceFacts): boolean {
  return word.split(/[^0-9]+/).some((digits) => {
    if (digits.length < 10 || digits.length > 19) return false;
    return isWithin(Number(digits.slice(0, 10)), facts); // seconds; what follows are thousandths and less
  });
}

function isBinaryTime(first: Uint8Array, second: Uint8Array, at: number, facts: DifferenceFacts): boolean {
  const [left, right] = [viewOf(first), viewOf(second)];
  for (let start = Math.max(0, at - 3); start <= at; start += 1)
    for (const littleEndian of [true, false]) {
      if (start + 4 > left.byteLength || start + 4 > right.byteLength) continue;
      if ([left, right].every((view) => isWithin(view.getUint32(start, littleEndian), facts))) return true;
    }
  return false;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A builder's clock is the machine's, but seconds are cut off. */
function isWithin(seconds: number, { timesMs }: DifferenceFacts): boolean {
  return timesMs.some(([fromMs, toMs]) => seconds >= Math.floor(fromMs / 1000) && seconds <= Math.ceil(toMs / 1000));
}

const datePattern =
  /\d{4}-\d\d-\d\d|\d\d:\d\d(:\d\d)?|(Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? |\d{1,2} (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)/g;

function isDate(bytes: Uint8Array, at: number): boolean {
  const start = Math.max(0, at - 20);
  const text = Buffer.from(bytes.subarray(start, at + 20)).toString("latin1");
  for (const match of text.matchAll(datePattern))
    if (start + match.index <= at && at < start + match.index + match[0].length) return true;
  return false;
}

const isOfWord = (byte: number | undefined) => byte !== undefined && byte > 0x20 && byte < 0x7f;

/** What stands there without a space or another byte that is not printed; at most 100 bytes each way. */
function wordAt(bytes: Uint8Array, at: number): string {
  let start = at;
  while (start > 0 && at - start < 100 && isOfWord(bytes[start - 1])) start -= 1;
  let end = at;
  while (end - at < 100 && isOfWord(bytes[end])) end += 1;
  return Buffer.from(bytes.subarray(start, end)).toString("latin1");
}

/** Undefined for what is no text. */
function showAround(bytes: Uint8Array, at: number): string | undefined {
  const word = wordAt(bytes, at);
  if (word === "") return at === bytes.length ? "" : undefined;
  return word.length > 60 ? `${word.slice(0, 60)}…` : word;
}
