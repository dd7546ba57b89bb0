/** Leases: what an owner holds is held until it gives it back, as often as it took it. */
import { expect, test } from "vitest";
import { parseStorePath } from "../../../derivations/store-path.ts";
import { Leases } from "../../../store/leases.ts";

const a = parseStorePath("00000000000000000000000000000000-a");
const b = parseStorePath("11111111111111111111111111111111-b");

test("a path is held as long as one owner holds it once", () => {
  const leases = new Leases();
  const first = leases.hold("one", [a, b]);
  const second = leases.hold("one", [a]);
  const third = leases.hold("two", [a]);
  first[Symbol.dispose]();
  first[Symbol.dispose](); // the second time means nothing
  expect([leases.isHeld(a), leases.isHeld(b)]).toEqual([true, false]);
  expect([...leases.entries()]).toEqual([
    { owner: "one", path: a },
    { owner: "two", path: a },
  ]);
  leases.release("one");
  second[Symbol.dispose](); // was given back with all the rest
  expect(leases.isHeld(a)).toBe(true);
  third[Symbol.dispose]();
  expect([...leases.paths()]).toEqual([]);
  expect([...leases.entries()]).toEqual([]);
});

test("giving back what was taken before a release takes nothing from what was taken after it", () => {
  const leases = new Leases();
  const early = leases.hold("one", [a]);
  leases.release("one");
  leases.hold("one", [a]);
  early[Symbol.dispose]();
  expect(leases.isHeld(a)).toBe(true);
});

test("a watcher hears of each hold from then on, at once", () => {
  const leases = new Leases();
  leases.hold("one", [a]);
  const heard: string[] = [];
  const watching = leases.watch((path) => heard.push(path));
  leases.hold("one", [a]);
  expect(heard).toEqual([a]);
  watching[Symbol.dispose]();
  leases.hold("one", [b]);
  expect(heard).toEqual([a]);
});
