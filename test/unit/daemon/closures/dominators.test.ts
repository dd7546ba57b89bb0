import fc from "fast-check";
import { expect, test } from "vitest";
import { above, findDominators } from "../../../../daemon/closures/dominators.ts";

const graphs = fc
  .integer({ min: 1, max: 12 })
  .chain((size) =>
    fc.tuple(
      fc.array(fc.uniqueArray(fc.nat({ max: size - 1 }), { maxLength: 3 }), { minLength: size, maxLength: size }),
      fc.uniqueArray(fc.nat({ max: size - 1 }), { minLength: 1, maxLength: 3 }),
    ),
  );

function reachable(
  successors: readonly (readonly number[])[],
  roots: readonly number[],
  without?: number,
): Set<number> {
  const seen = new Set(roots.filter((root) => root !== without));
  for (const node of seen) for (const next of successors[node] ?? []) if (next !== without) seen.add(next);
  return seen;
}

test("without a node exactly what it dominates is out of reach", () => {
  fc.assert(
    fc.property(graphs, ([successors, roots]) => {
      const { dominators, order } = findDominators(successors, roots);
      const all = reachable(successors, roots);
      expect(new Set(order)).toEqual(all);
      const dominatedBy = (node: number, one: number): boolean => {
        for (let at: number | undefined = node; at !== undefined && at !== above; at = dominators[at])
          if (at === one) return true;
        return false;
      };
      for (const one of all) {
        const left = reachable(successors, roots, one);
        for (const node of all) expect(dominatedBy(node, one)).toBe(!left.has(node));
      }
      for (const [position, node] of order.entries()) {
        const dominator = dominators[node];
        if (dominator !== above) expect(order.indexOf(dominator as number)).toBeLessThan(position);
      }
    }),
    { numRuns: 500 },
  );
});

test("a chain of 50,000 needs no stack", () => {
  const size = 50_000;
  const { dominators } = findDominators(
    Array.from({ length: size }, (_, index) => (index + 1 < size ? [index + 1] : [])),
    [0],
  );
  expect(dominators[size - 1]).toBe(size - 2);
});
