/** The resident index against the plainest model: sets of names. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { sha256 } from "../../../derivations/hash.ts";
import { makeStorePath, type StorePath } from "../../../derivations/store-path.ts";
import { ReferenceGraph } from "../../../store/reference-graph.ts";
import { storeDirectory } from "../../support/temporary-store.ts";

const pathOf = (index: number): StorePath =>
  makeStorePath(storeDirectory, "source", sha256(String(index)), `p${index}`);

/** references[i] are the indexes below i that path i refers to, and perhaps i itself. */
const graphs = fc
  .array(fc.array(fc.nat(), { maxLength: 5 }), { minLength: 1, maxLength: 40 })
  .map((lists) => lists.map((list, index) => [...new Set(list.map((target) => target % (index + 1)))]));

function closureOf(model: readonly (readonly number[])[], roots: readonly number[], forward: boolean): Set<number> {
  const found = new Set(roots);
  for (const index of found) {
    const next = forward
      ? (model[index] ?? [])
      : model.flatMap((targets, referrer) => (targets.includes(index) ? [referrer] : []));
    for (const target of next) found.add(target);
  }
  return found;
}

function isTopological(graph: ReferenceGraph, order: readonly StorePath[]): boolean {
  const place = new Map(order.map((path, index) => [path, index]));
  return order.every((path, index) => graph.references(path).every((target) => (place.get(target) ?? -1) <= index));
}

test("references, referrers, closures, order and the unreachable are those of the model", () => {
  fc.assert(
    fc.property(graphs, fc.array(fc.nat(), { maxLength: 4 }), (model, picks) => {
      const graph = new ReferenceGraph();
      for (const [index, targets] of model.entries()) graph.add(index + 1, pathOf(index), targets.map(pathOf));
      const roots = picks.map((pick) => pick % model.length);
      const paths = (indexes: Iterable<number>) => new Set([...indexes].map(pathOf));

      for (const [index, targets] of model.entries()) {
        expect(new Set(graph.references(pathOf(index)))).toEqual(paths(targets));
        expect(new Set(graph.referrers(pathOf(index)))).toEqual(
          paths(model.flatMap((list, referrer) => (list.includes(index) ? [referrer] : []))),
        );
        expect(graph.findId(pathOf(index))).toBe(index + 1);
        expect(graph.findByHashPart(pathOf(index).slice(0, 32))).toBe(pathOf(index));
      }
      for (const direction of ["forward", "backward"] as const) {
        const closure = graph.closure(roots.map(pathOf), direction);
        expect(new Set(closure)).toEqual(paths(closureOf(model, roots, direction === "forward")));
        expect(closure.length).toBe(new Set(closure).size);
        const place = new Map(closure.map((path, at) => [path, at]));
        for (const [at, path] of closure.entries())
          for (const target of graph.references(path)) expect(place.get(target) ?? 0).toBeLessThanOrEqual(at);
      }
      expect(isTopological(graph, graph.topological(model.map((_, index) => pathOf(index))))).toBe(true);
      const alive = closureOf(model, roots, true);
      const dead = graph.unreachable(roots.map(pathOf));
      expect(new Set(dead)).toEqual(paths([...model.keys()].filter((index) => !alive.has(index))));
      const deadPlace = new Map(dead.map((path, at) => [path, at]));
      for (const [at, path] of dead.entries())
        for (const referrer of graph.referrers(path)) expect(deadPlace.get(referrer) ?? -1).toBeLessThanOrEqual(at);
    }),
    { numRuns: 150 },
  );
});

test("after paths were removed, referrers first, the rest is as if they had never been", () => {
  fc.assert(
    fc.property(graphs, fc.array(fc.nat(), { maxLength: 4 }), (model, picks) => {
      const graph = new ReferenceGraph();
      for (const [index, targets] of model.entries()) graph.add(index + 1, pathOf(index), targets.map(pathOf));
      const kept = closureOf(
        model,
        picks.map((pick) => pick % model.length),
        true,
      );
      for (const path of graph.unreachable([...kept].map(pathOf))) {
        expect(graph.findOtherReferrer(path)).toBeUndefined();
        graph.remove(path);
      }
      expect(graph.size).toBe(kept.size);
      expect(new Set(graph.paths())).toEqual(new Set([...kept].map(pathOf)));
      for (const index of model.keys()) {
        expect(graph.has(pathOf(index))).toBe(kept.has(index));
        const referrers = [...kept].filter((referrer) => model[referrer]?.includes(index));
        expect(new Set(graph.referrers(pathOf(index)))).toEqual(new Set(kept.has(index) ? referrers.map(pathOf) : []));
      }
      // What was removed can come back, under another id.
      for (const [index, targets] of model.entries())
        if (!kept.has(index)) graph.add(model.length + index + 1, pathOf(index), targets.map(pathOf));
      expect(graph.size).toBe(model.length);
      for (const [index, targets] of model.entries())
        expect(new Set(graph.references(pathOf(index)))).toEqual(new Set(targets.map(pathOf)));
    }),
    { numRuns: 100 },
  );
});

test("half of many paths can go: what is left stays right when the arrays are made anew", () => {
  const graph = new ReferenceGraph();
  const count = 5000;
  for (let index = 0; index < count; ++index)
    graph.add(index + 1, pathOf(index), index >= 2 ? [pathOf(index - 2)] : []);
  for (let index = count - 1; index >= 0; index -= 2) graph.remove(pathOf(index)); // one of the two chains, from its end
  for (let index = count - 2; index >= 1000; index -= 2) graph.remove(pathOf(index));
  expect(graph.size).toBe(500);
  expect(graph.closure([pathOf(998)], "forward").length).toBe(500);
  expect(graph.closure([pathOf(0)], "backward").length).toBe(500);
  expect(graph.findId(pathOf(998))).toBe(999);
  expect(graph.has(pathOf(999))).toBe(false);
});

test("a chain of 100,000 paths is walked both ways, found, and kept in at most 150 bytes a path", () => {
  const count = 100_000;
  const graph = new ReferenceGraph({ paths: count, references: count });
  let before: StorePath | undefined;
  const all: StorePath[] = [];
  for (let index = 0; index < count; ++index) {
    const path = pathOf(index);
    graph.add(index + 1, path, before === undefined ? [] : [before]);
    before = path;
    all.push(path);
  }
  const [first, last] = [all[0] as StorePath, all[count - 1] as StorePath];
  expect(graph.closure([last], "forward")).toEqual(all);
  expect(graph.closure([first], "backward")).toEqual(all);
  expect(graph.topological([last, first])).toEqual([first, last]);
  expect(graph.unreachable([first]).at(0)).toBe(last);
  expect(graph.findWay(new Set([last]), first)?.length).toBe(count);
  expect(graph.memoryBytes / count).toBeLessThanOrEqual(150);
});

test("a way from a root is the shortest, and there is none from where nothing leads", () => {
  const graph = new ReferenceGraph();
  const [a, b, c, d] = [0, 1, 2, 3].map(pathOf) as [StorePath, StorePath, StorePath, StorePath];
  graph.add(1, a, []);
  graph.add(2, b, [a]);
  graph.add(3, c, [b, a]);
  graph.add(4, d, [c, d]);
  expect(graph.findWay(new Set([c]), a)).toEqual([c, a]);
  expect(graph.findWay(new Set([d]), a)).toEqual([d, c, a]);
  expect(graph.findWay(new Set([a]), b)).toBeUndefined();
});
