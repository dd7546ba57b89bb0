/** Our values as the text that `--json` prints. */

export function printPlainJson(value: unknown): string {
  return JSON.stringify(value, plain, 2);
}

/** A bigint as a number: JSON readers expect one, and no size of ours passes 2^53. Bytes as text, sets as lists. */
function plain(_key: string, value: unknown): unknown {
  if (typeof value === "bigint") return Number(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString("utf8");
  if (value instanceof Set) return [...value];
  return value;
}
