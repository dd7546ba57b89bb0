/**
 * What a build may take: one table for the daemon's options, those of `cloister build`, the protocol, and the attribute
 * `__limits` of a derivation. Where more than one of them sets a limit the tightest one holds, so nobody can loosen
 * another's.
 */

/** Sizes are bytes ("512M"), processors may have a fraction ("1.5"), durations are seconds. */
type Unit = "size" | "processors" | "count" | "seconds";

interface LimitRow {
  /** In `__limits`, and as an option after two dashes. */
  readonly word: string;
  readonly unit: Unit;
  readonly says: string;
  readonly most?: number;
}

export const limitRows = {
  memoryBytes: { word: "memory", unit: "size", says: "memory of a build, with its files in memory" },
  swapBytes: { word: "swap", unit: "size", says: "swap on top of --memory; by default none" },
  cpuThousandths: { word: "cpus", unit: "processors", says: "processors that a build may keep busy, such as 1.5" },
  cpuWeight: {
    word: "cpu-weight",
    unit: "count",
    most: 10_000,
    says: "share of busy processors, 1 to 10000; 100 is usual",
  },
  processes: { word: "processes", unit: "count", most: 4_194_304, says: "processes and threads of a build at a time" },
  ioWeight: { word: "io-weight", unit: "count", most: 10_000, says: "share of a busy disk, 1 to 10000; 100 is usual" },
  readBytesPerSecond: { word: "read-rate", unit: "size", says: "bytes a second read from the disk of the builds" },
  writtenBytesPerSecond: { word: "write-rate", unit: "size", says: "bytes a second written to that disk" },
  buildDirectoryBytes: { word: "build-dir-size", unit: "size", says: "size of a build's directory, outputs included" },
  buildDirectoryInodes: { word: "build-dir-inodes", unit: "count", says: "files and directories in it" },
  logBytes: { word: "log-size", unit: "size", says: "size of a build's log" },
  timeoutMs: { word: "timeout", unit: "seconds", says: "how long a build may take" },
  silenceMs: { word: "silence", unit: "seconds", says: "how long it may print nothing" },
} as const satisfies Readonly<Record<string, LimitRow>>;

export type LimitName = keyof typeof limitRows;

/** Whole numbers: bytes, thousandths of a processor, milliseconds. Absent and 0 are no limit. */
export type BuildLimits = Readonly<Partial<Record<LimitName, number>>>;

/** What holds where nobody configures anything. */
export const defaultLimits: BuildLimits = { processes: 16_384 };

export const limitNames = Object.keys(limitRows) as LimitName[];

/** Undefined for what is not a limit of this kind. */
export function parseLimit(name: LimitName, text: string): number | undefined {
  const { unit, most = Number.MAX_SAFE_INTEGER }: LimitRow = limitRows[name];
  const value = parsers[unit](text);
  return value !== undefined && Number.isSafeInteger(value) && value <= most ? value : undefined;
}

const parsers: Readonly<Record<Unit, (text: string) => number | undefined>> = {
  size: (text) => {
    const [, digits, letter = ""] = /^([0-9]{1,15})([KMGT]?)(?:iB|B)?$/i.exec(text) ?? [];
    return digits === undefined ? undefined : Number(digits) * 1024 ** " KMGT".indexOf(letter.toUpperCase() || " ");
  },
  processors: (text) => (/^[0-9]{1,6}(?:\.[0-9]{1,3})?$/.test(text) ? Math.round(Number(text) * 1000) : undefined),
  count: (text) => (/^[0-9]{1,15}$/.test(text) ? Number(text) : undefined),
  seconds: (text) => (/^[0-9]{1,9}$/.test(text) ? Number(text) * 1000 : undefined),
};

/** The value of `__limits`, such as "memory=512M cpus=1.5". Gives a text that says what is wrong with it. */
export function readLimitWords(text: string): BuildLimits | string {
  const limits: Partial<Record<LimitName, number>> = {};
  for (const assignment of text.split(/[ \t\n\r]+/)) {
    if (assignment === "") continue;
    const [word = "", value = ""] = assignment.split("=", 2);
    const name = limitNames.find((candidate) => limitRows[candidate].word === word);
    if (name === undefined) return `there is no limit ${JSON.stringify(word)}`;
    const limit = parseLimit(name, value);
    if (limit === undefined) return `${JSON.stringify(value)} cannot be ${word}`;
    limits[name] = limit;
  }
  return limits;
}

/** Of each limit the tightest. */
export function tightestLimits(...all: readonly BuildLimits[]): BuildLimits {
  const limits: Partial<Record<LimitName, number>> = {};
  for (const some of all)
    for (const name of limitNames) {
      const limit = some[name] ?? 0;
      if (limit > 0) limits[name] = Math.min(limit, limits[name] ?? limit);
    }
  return limits;
}
