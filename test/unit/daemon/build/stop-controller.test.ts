/** The small stand-in for an AbortController. */
import { expect, test } from "vitest";
import { StopController } from "../../../../daemon/build/stop-controller.ts";

test("who listens is told once, who has stopped listening or comes too late is not", () => {
  const stop = new StopController();
  const told: string[] = [];
  const first = () => told.push("first");
  stop.addEventListener("abort", first);
  stop.addEventListener("abort", () => told.push("second"));
  stop.removeEventListener("abort", first);
  expect(stop.aborted).toBe(false);

  stop.abort();
  stop.abort();
  stop.addEventListener("abort", () => told.push("late"));
  expect(stop.aborted).toBe(true);
  expect(told).toEqual(["second"]);
});
