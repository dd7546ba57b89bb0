/** One line of the benchmark's answer: the same work on every subject in one run, and the ratio to the better peer. */

export interface Row {
  readonly suite: string;
  readonly row: string;
  readonly unit: string;
  readonly better: "less" | "more";
  readonly cloister: number;
  /** The yardstick of this machine for this work, such as the bare fork and exec of the builder. */
  readonly ref?: number;
  readonly peers: Readonly<Record<string, number>>;
  /** How many times as good as the better peer (or as `ref`, where `against` says so); more is better. */
  readonly ratio?: number;
  readonly against: "peer" | "ref";
  readonly goal?: number;
  readonly met?: boolean;
}

export interface Measured {
  readonly suite: string;
  readonly row: string;
  readonly unit: string;
  readonly better: "less" | "more";
  readonly cloister: number;
  readonly ref?: number | undefined;
  readonly peers: Readonly<Record<string, number>>;
  readonly against?: "peer" | "ref";
  /** The smallest ratio that is good enough. */
  readonly goal?: number;
}

export function makeRow(measured: Measured): Row {
  const against = measured.against ?? "peer";
  const rivals =
    against === "ref" ? [measured.ref].filter((value) => value !== undefined) : Object.values(measured.peers);
  const rival = measured.better === "less" ? Math.min(...rivals) : Math.max(...rivals);
  const ratio = measured.better === "less" ? rival / measured.cloister : measured.cloister / rival;
  const known = rivals.length > 0 && Number.isFinite(ratio);
  const { ref, goal, ...rest } = measured;
  return {
    ...rest,
    against,
    ...(ref === undefined ? {} : { ref }),
    ...(known ? { ratio } : {}),
    ...(goal === undefined ? {} : { goal }),
    ...(known && goal !== undefined ? { met: ratio >= goal } : {}),
  };
}

export const tableHead = `${"work".padEnd(48)} ${"unit".padEnd(9)} ${"ref".padStart(9)} ${"nix".padStart(9)} ${"guix".padStart(9)} ${"others".padStart(20)} ${"cloister".padStart(9)} ${"ratio".padStart(7)} ${"goal".padStart(6)}`;

export function printRow(row: Row): string {
  const { nix, guix, ...others } = row.peers;
  const otherText = Object.entries(others).map(([name, value]) => `${name} ${number(value)}`);
  const verdict = row.met === undefined ? "" : row.met ? " met" : " MISSED";
  const goal = row.goal === undefined ? "" : `≥ ${row.goal}`;
  return `${`${row.suite}: ${row.row}`.padEnd(48)} ${row.unit.padEnd(9)} ${number(row.ref).padStart(9)} ${number(nix).padStart(9)} ${number(guix).padStart(9)} ${otherText.join(", ").padStart(20)} ${number(row.cloister).padStart(9)} ${number(row.ratio).padStart(7)} ${goal.padStart(6)}${verdict}`;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? upper)) / 2;
}

function number(value: number | undefined): string {
  if (value === undefined) return "";
  return value >= 100 ? value.toFixed(0) : value.toFixed(value >= 10 ? 1 : 2);
}
