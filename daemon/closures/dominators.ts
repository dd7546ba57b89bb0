/**
 * Which node of a graph every way from the roots to another one leads through: its immediate dominator. Source: K. D.
 * Cooper, T. J. Harvey, K. Kennedy, "A Simple, Fast Dominance Algorithm" (2001).
 */

/** `-1` stands for what is above all roots. */
export const above = -1;

export interface Dominators {
  /** By node: its immediate dominator, or `above`; undefined where no root leads. */
  readonly dominators: readonly (number | undefined)[];
  /** The nodes that roots lead to, each after its dominator. */
  readonly order: readonly number[];
}

export function findDominators(successors: readonly (readonly number[])[], roots: readonly number[]): Dominators {
  const order = reversePostorder(successors, roots);
  const rank = new Map(order.map((node, index) => [node, index]));
  const predecessors = new Map<number, number[]>(order.map((node) => [node, []]));
  for (const node of order) for (const next of successors[node] ?? []) predecessors.get(next)?.push(node);
  for (const root of new Set(roots)) predecessors.get(root)?.push(above);

  const dominators: (number | undefined)[] = new Array(successors.length).fill(undefined);
  const rankOf = (node: number): number => (node === above ? -1 : (rank.get(node) as number));
  const up = (node: number): number => (node === above ? above : (dominators[node] as number));
  const meet = (left: number, right: number): number => {
    let [a, b] = [left, right];
    while (a !== b) {
      if (rankOf(a) > rankOf(b)) a = up(a);
      else b = up(b);
    }
    return a;
  };
  for (let hasChanged = true; hasChanged; ) {
    hasChanged = false;
    for (const node of order) {
      const known = (predecessors.get(node) ?? []).filter((one) => one === above || dominators[one] !== undefined);
      const next = known.reduce(meet);
      if (dominators[node] === next) continue;
      dominators[node] = next;
      hasChanged = true;
    }
  }
  return { dominators, order };
}

/** Without recursion: a chain may be thousands deep. */
function reversePostorder(successors: readonly (readonly number[])[], roots: readonly number[]): number[] {
  const seen = new Set<number>();
  const finished: number[] = [];
  for (const root of roots) {
    const stack: { readonly node: number; next: number }[] = [];
    const enter = (node: number): void => {
      if (seen.has(node)) return;
      seen.add(node);
      stack.push({ node, next: 0 });
    };
    enter(root);
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const successor = successors[top.node]?.[top.next];
      top.next += 1;
      if (successor !== undefined) enter(successor);
      else finished.push((stack.pop() as { node: number }).node);
    }
  }
  return finished.reverse();
}
