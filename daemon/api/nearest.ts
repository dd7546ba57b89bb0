/** What a mistyped name was probably meant to be. */

/** At most `limit` of the names that are within a third of the length from `wanted` in edits, nearest first. */
export function findNearest(wanted: string, names: Iterable<string>, limit = 2): string[] {
  const allowed = Math.max(1, Math.floor(wanted.length / 3));
  return [...names]
    .map((name) => ({ name, edits: countEdits(wanted.toLowerCase(), name.toLowerCase()) }))
    .filter(({ edits }) => edits <= allowed)
    .sort((left, right) => left.edits - right.edits)
    .slice(0, limit)
    .map(({ name }) => name);
}

/** The least number of insertions, deletions, replacements and swaps of neighbours (each pair once) between two texts. */
function countEdits(left: string, right: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let row = 1; row <= left.length; ++row) {
    const current = [row];
    for (let column = 1; column <= right.length; ++column) {
      const same = left[row - 1] === right[column - 1];
      let edits = Math.min(
        (last[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (last[column - 1] ?? 0) + (same ? 0 : 1),
      );
      const isSwap =
        row > 1 && column > 1 && left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1];
      if (isSwap) edits = Math.min(edits, (beforeLast[column - 2] ?? 0) + 1);
      current.push(edits);
    }
    beforeLast = last;
    last = current;
  }
  return last[right.length] ?? 0;
}
