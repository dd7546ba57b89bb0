import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { GoalGraph } from "../../../../daemon/scheduler/goal-graph.ts";

/** Runs all that is ready, one at a time, and tells the order; goals named in `failing` fail. */
function runAll(graph: GoalGraph<string, string>, failing: ReadonlySet<string> = new Set()) {
  const order: string[] = [];
  const ends: string[] = [];
  for (let key = graph.takeReady(); key !== undefined; key = graph.takeReady()) {
    order.push(key);
    const outcome = failing.has(key) ? "failed" : "succeeded";
    for (const { end } of graph.finish(key, outcome))
      ends.push(end.kind === "dependency-failed" ? `${end.key} by ${end.cause}` : `${end.key} ${end.kind}`);
  }
  return { order, ends };
}

const diamond = [
  { key: "a", needs: [] },
  { key: "b", needs: ["a"] },
  { key: "c", needs: ["a"] },
  { key: "d", needs: ["b", "c"] },
];

describe("order", () => {
  test("what is needed is run first, and each goal once", () => {
    const graph = new GoalGraph<string, string>();
    graph.add("request", diamond);
    expect(runAll(graph).order).toEqual(["a", "b", "c", "d"]);
    expect([graph.running, graph.waiting]).toEqual([0, 0]);
  });

  test("a goal is not ready while what it needs still runs", () => {
    const graph = new GoalGraph<string, string>();
    graph.add("request", diamond);
    expect(graph.takeReady()).toBe("a");
    expect(graph.takeReady()).toBeUndefined();
    expect([graph.running, graph.waiting]).toEqual([1, 3]);
    graph.finish("a", "succeeded");
    expect([graph.takeReady(), graph.takeReady(), graph.takeReady()]).toEqual(["b", "c", undefined]);
  });

  test("a need that has no goal counts as done", () => {
    const graph = new GoalGraph<string, string>();
    graph.add("request", [{ key: "b", needs: ["a"] }]);
    expect(graph.takeReady()).toBe("b");
  });
});

describe("failure", () => {
  test("all that needs a failed goal fails with it as the cause; the rest goes on", () => {
    const graph = new GoalGraph<string, string>();
    graph.add("request", [...diamond, { key: "e", needs: ["d"] }, { key: "lone", needs: [] }]);
    const { order, ends } = runAll(graph, new Set(["b"]));
    expect(order).toEqual(["a", "lone", "b", "c"]);
    expect(ends).toContain("d by b");
    expect(ends).toContain("e by b");
    expect(ends).toContain("c succeeded");
    expect(ends).toContain("lone succeeded");
    expect(graph.waiting).toBe(0);
  });

  test("of two failed needs the first one is the cause, and it is told once", () => {
    const graph = new GoalGraph<string, string>();
    graph.add("request", diamond);
    const { ends } = runAll(graph, new Set(["b", "c"]));
    expect(ends.filter((end) => end.startsWith("d"))).toEqual(["d by b"]);
  });

  test("a failed goal can be asked for again", () => {
    const graph = new GoalGraph<string, string>();
    graph.add("first", [{ key: "a", needs: [] }]);
    runAll(graph, new Set(["a"]));
    graph.add("second", [{ key: "a", needs: [] }]);
    expect(runAll(graph).ends).toEqual(["a succeeded"]);
  });
});

describe("several requests", () => {
  test("a goal that two want is run once, and both are told", () => {
    const graph = new GoalGraph<string, string>();
    graph.add("first", diamond);
    graph.add("second", diamond);
    expect(graph.takeReady()).toBe("a");
    const [told] = graph.finish("a", "succeeded");
    expect([...(told?.wantedBy ?? [])]).toEqual(["first", "second"]);
    expect(runAll(graph).order).toEqual(["b", "c", "d"]);
  });

  test("withdrawing drops only what nobody else wants", () => {
    const graph = new GoalGraph<string, string>();
    graph.add("first", diamond);
    graph.add("second", diamond.slice(0, 2));
    graph.takeReady();
    expect(graph.withdraw("first")).toEqual({ waiting: ["c", "d"], running: [] });
    expect(graph.withdraw("second")).toEqual({ waiting: ["b"], running: ["a"] });
    expect(graph.waiting).toBe(0);
    expect(graph.running).toBe(1);
    expect(graph.finish("a", "failed")).toEqual([]);
    expect(graph.running).toBe(0);
  });

  test("a goal asked for again while it is being cancelled waits for the end of the old run", () => {
    const graph = new GoalGraph<string, string>();
    graph.add("first", [{ key: "a", needs: [] }]);
    graph.takeReady();
    graph.withdraw("first");
    graph.add("second", [{ key: "a", needs: [] }]);
    expect(graph.takeReady()).toBeUndefined();
    expect(graph.finish("a", "failed")).toEqual([]);
    expect(graph.takeReady()).toBe("a");
    expect(graph.finish("a", "succeeded").map(({ end }) => end)).toEqual([{ kind: "succeeded", key: "a" }]);
  });

  test("a dropped goal is not run when what it waited for ends", () => {
    const graph = new GoalGraph<string, string>();
    graph.add("first", diamond.slice(0, 2));
    graph.add("second", diamond.slice(0, 1));
    graph.takeReady();
    expect(graph.withdraw("first").waiting).toEqual(["b"]);
    graph.finish("a", "succeeded");
    expect(graph.takeReady()).toBeUndefined();
    expect(graph.waiting).toBe(0);
  });

  test("finishing what does not run is refused", () => {
    const graph = new GoalGraph<string, string>();
    graph.add("first", diamond);
    expect(() => graph.finish("d", "succeeded")).toThrow(/does not run/);
  });
});

/** A graph by the needs of each goal (all earlier ones), and what is done to it step by step. */
interface Scenario {
  readonly needs: readonly (readonly number[])[];
  readonly steps: readonly Step[];
}

type Step =
  | { readonly kind: "add"; readonly request: number; readonly goal: number }
  | { readonly kind: "withdraw"; readonly request: number }
  | { readonly kind: "take" }
  | { readonly kind: "finish"; readonly which: number; readonly succeeds: boolean };

const scenario: fc.Arbitrary<Scenario> = fc.integer({ min: 1, max: 12 }).chain((size) =>
  fc.record({
    needs: fc.tuple(
      ...Array.from({ length: size }, (_, goal) =>
        goal === 0 ? fc.constant([]) : fc.uniqueArray(fc.nat(goal - 1), { maxLength: 3 }),
      ),
    ),
    steps: fc.array(
      fc.oneof(
        {
          weight: 2,
          arbitrary: fc.record({ kind: fc.constant("add" as const), request: fc.nat(3), goal: fc.nat(size - 1) }),
        },
        { weight: 1, arbitrary: fc.record({ kind: fc.constant("withdraw" as const), request: fc.nat(3) }) },
        { weight: 4, arbitrary: fc.constant({ kind: "take" as const }) },
        {
          weight: 4,
          arbitrary: fc.record({
            kind: fc.constant("finish" as const),
            which: fc.nat(20),
            succeeds: fc.boolean(),
          }),
        },
      ),
      { maxLength: 80 },
    ),
  }),
);

/**
 * Goal: whatever requests come, go and fail, no goal runs twice at once or before its needs, each request is told once of
 * each goal that it still wants, and nothing is left when all is run.
 * Method: a random graph and random steps, against a model that keeps only what was told.
 */
test("any course of requests, failures and withdrawals keeps the rules", () => {
  fc.assert(
    fc.property(scenario, ({ needs, steps }) => {
      const graph = new GoalGraph<number, number>();
      const running = new Set<number>();
      const done = new Set<number>();
      const wanted = new Map<number, Set<number>>();

      const finish = (key: number, succeeds: boolean) => {
        running.delete(key);
        const ends = graph.finish(key, succeeds ? "succeeded" : "failed");
        if (succeeds && ends.length > 0) done.add(key);
        for (const { end, wantedBy } of ends)
          for (const request of wantedBy) expect(wanted.get(request)?.delete(end.key)).toBe(true); // told once
      };
      const take = () => {
        const key = graph.takeReady();
        if (key === undefined) return false;
        expect(running.has(key)).toBe(false);
        for (const need of needs[key] ?? []) expect(done.has(need)).toBe(true);
        running.add(key);
        return true;
      };
      const closure = (goal: number) => {
        const found = new Set<number>();
        const visit = (at: number) => {
          if (found.has(at) || done.has(at)) return;
          for (const need of needs[at] ?? []) visit(need);
          found.add(at);
        };
        visit(goal);
        return [...found];
      };
      for (const step of steps) {
        switch (step.kind) {
          case "add": {
            const goals = closure(step.goal);
            if (wanted.get(step.request)?.size) break; // a request comes once; afterwards its number may be used again
            wanted.set(step.request, new Set(goals));
            graph.add(
              step.request,
              goals.map((key) => ({ key, needs: (needs[key] ?? []).filter((need) => goals.includes(need)) })),
            );
            break;
          }
          case "withdraw": {
            const dropped = graph.withdraw(step.request);
            wanted.delete(step.request);
            const stillWanted = new Set([...wanted.values()].flatMap((keys) => [...keys]));
            for (const key of [...dropped.waiting, ...dropped.running]) expect(stillWanted.has(key)).toBe(false);
            for (const key of dropped.running) expect(running.has(key)).toBe(true);
            break;
          }
          case "take":
            take();
            break;
          case "finish": {
            const keys = [...running];
            const key = keys[step.which % Math.max(1, keys.length)];
            if (key !== undefined) finish(key, step.succeeds);
            break;
          }
          default:
            step satisfies never;
        }
        expect(graph.running).toBe(running.size);
      }
      do for (const key of [...running]) finish(key, true);
      while (take());
      expect([...wanted.values()].every((keys) => keys.size === 0)).toBe(true);
      expect([graph.running, graph.waiting]).toEqual([0, 0]);
    }),
    { numRuns: 500 },
  );
});

test("a chain of 100,000 goals fails and succeeds without a deep stack", () => {
  const chain = Array.from({ length: 100_000 }, (_, key) => ({ key, needs: key === 0 ? [] : [key - 1] }));
  const graph = new GoalGraph<number, string>();
  graph.add("request", chain);
  expect(graph.takeReady()).toBe(0);
  expect(graph.finish(0, "failed")).toHaveLength(100_000);
  graph.add("again", chain);
  let count = 0;
  for (let key = graph.takeReady(); key !== undefined; key = graph.takeReady()) {
    graph.finish(key, "succeeded");
    count += 1;
  }
  expect(count).toBe(100_000);
});
