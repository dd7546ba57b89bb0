/** Numbers that are kept for the metrics: each value in its place, and none lost before it is read. */
import { expect, test } from "vitest";
import { BuildTallies, Distribution } from "../../../../daemon/build/tallies.ts";

test("a value counts at the first bound that it does not exceed, and past the last one", () => {
  const distribution = new Distribution([1, 2]);
  for (const value of [0, 1, 1.5, 2, 3]) distribution.note(value);
  expect(distribution.counts).toEqual([2, 2, 1]);
  expect(distribution.sum).toBe(7.5);
});

test("the launcher's laps are a jail's, a builder's or a seal's; however many came before they are read", () => {
  const tallies = new BuildTallies();
  const timingsMicroseconds = { "take-jail": 100, run: 400, wait: 3_000_000, seal: 2000, move: 1000 };
  for (let build = 0; build < 1000; ++build) tallies.noteAnswer({ timingsMicroseconds });
  tallies.noteAnswer({ timingsMicroseconds: { "take-jail": 100 } }); // none was made: it counts nowhere
  const { jail, builder, seal } = tallies.parts;
  expect([jail.sum, builder.sum, seal.sum].map((sum) => Math.round(sum * 1e3))).toEqual([100, 3_000_400, 3000]);
  for (const { counts } of [jail, builder, seal]) expect(counts.reduce((sum, count) => sum + count, 0)).toBe(1000);
});
