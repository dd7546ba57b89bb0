/** How long builds may take, from how long builds of the same names took. Pure. */

export interface Expected {
  /** Undefined where no build of this name is known: then it counts as much as the others do on average. */
  readonly expectedMs: number | undefined;
  /** How long it has run already; 0 while it waits. */
  readonly ranMs: number;
}

/**
 * In milliseconds; undefined if nothing is known of any of them. What waits for what is not known here, so it is the
 * least that it can be: the longest of them, or all of them shared among so many jobs.
 */
export function estimateMs(builds: readonly Expected[], jobs: number): number | undefined {
  const known = builds.flatMap(({ expectedMs }) => (expectedMs === undefined ? [] : [expectedMs]));
  if (known.length === 0) return undefined;
  const average = known.reduce((sum, one) => sum + one, 0) / known.length;
  const left = builds.map(({ expectedMs, ranMs }) => Math.max(0, (expectedMs ?? average) - ranMs));
  const total = left.reduce((sum, one) => sum + one, 0);
  return Math.max(
    total / Math.max(1, jobs),
    left.reduce((longest, one) => Math.max(longest, one), 0),
  );
}

/** "about 40 s", "about 3 min", "about 2 h 10 min": no finer than it can be known. */
export function printEstimate(milliseconds: number): string {
  const seconds = Math.max(1, Math.round(milliseconds / 1000));
  if (seconds < 20) return `about ${seconds} s`;
  if (seconds < 90) return `about ${Math.round(seconds / 5) * 5} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `about ${minutes} min`;
  const tens = Math.round((minutes % 60) / 10) * 10;
  const hours = Math.floor(minutes / 60) + (tens === 60 ? 1 : 0);
  return tens === 0 || tens === 60 ? `about ${hours} h` : `about ${hours} h ${tens} min`;
}
