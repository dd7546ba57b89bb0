import { expect, test } from "vitest";
import { BuildOrder } from "../../../../daemon/scheduler/build-order.ts";
import { GoalGraph } from "../../../../daemon/scheduler/goal-graph.ts";

const mebibyte = 1024 * 1024;

/** Builds named "large" and "small", a machine with so much memory free, and a clock that stands. */
function machine(freeBytes: number) {
  const clock = { now: 0 };
  const memory = new Map([["large", 900 * mebibyte], ["medium", 300 * mebibyte]]); // biome-ignore format: a table
  const order = new BuildOrder<string>({
    wantingOf: () => ({ user: 1, priority: 0 }),
    shares: new Map(),
    expectedOf: (key) => ({ cpuMicroseconds: 0, memoryBytes: memory.get(key.split(" ")[0] as string) ?? 0 }),
    freeMemoryBytes: () => freeBytes,
    now: () => clock.now,
  });
  const graph = new GoalGraph<string, string>(order);
  const start = () => {
    const key = graph.takeReady();
    if (key !== undefined) order.start(["request"]);
    return key;
  };
  const end = (key: string) => {
    order.end(key, 0);
    graph.finish(key, "succeeded");
  };
  const ask = (...keys: string[]) =>
    graph.add(
      "request",
      keys.map((key) => ({ key, needs: [] })),
    );
  return { clock, order, start, end, ask };
}

test("a large build waits until there is memory, and those behind it wait, too", () => {
  const { order, start, end, ask } = machine(500 * mebibyte);
  ask("small 1", "large", "small 2");
  expect(start()).toBe("small 1");
  expect(start()).toBe(undefined);
  expect(order.heldBack).toEqual({ key: "large", neededBytes: 900 * mebibyte, freeBytes: 500 * mebibyte });
  end("small 1");
  expect(start(), "alone it may take what there is").toBe("large");
  expect(order.heldBack).toBe(undefined);
  expect(start()).toBe("small 2");
});

test("what has just started has not taken its memory yet", () => {
  const { clock, start, ask } = machine(500 * mebibyte);
  ask("medium 1", "medium 2");
  expect(start()).toBe("medium 1");
  expect(start()).toBe(undefined);
  clock.now += 11_000; // by now it has, and what is free says so
  expect(start()).toBe("medium 2");
});
