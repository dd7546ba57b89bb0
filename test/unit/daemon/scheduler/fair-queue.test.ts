import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { priorities } from "../../../../daemon/api/priorities.ts";
import { FairQueue, type User } from "../../../../daemon/scheduler/fair-queue.ts";

interface Job {
  readonly name: string;
  readonly users: readonly User[];
  readonly cost: number;
}

/** A machine with so many slots on which every job takes as long as its processor time; costs are milliseconds. */
class Machine {
  readonly used = new Map<User, number>();
  readonly started: Job[] = [];
  now = 0;
  readonly #waiting = new Set<Job>();
  readonly #running = new Map<Job, number>();
  readonly #queue: FairQueue<Job>;
  readonly #slots: number;
  readonly #guess: (job: Job) => number;

  constructor(slots: number, shares: ReadonlyMap<User, number>, guess: (job: Job) => number = () => 0) {
    this.#slots = slots;
    this.#guess = guess;
    this.#queue = new FairQueue({
      shareOf: (user) => shares.get(user) ?? 1,
      isWaiting: (job) => this.#waiting.has(job),
    });
  }

  add(job: Job, priority = 0): void {
    this.#waiting.add(job);
    this.#queue.push(
      job,
      job.users.map((user) => ({ user, priority })),
      this.now,
    );
  }

  /** Starts what there are slots for, then lets the first job that runs end. */
  step(): Job | undefined {
    for (let job = this.#next(); job !== undefined; job = this.#next()) {
      this.#waiting.delete(job);
      this.started.push(job);
      this.#queue.start(job, job.users, this.#guess(job), this.now);
      this.#running.set(job, this.now + job.cost);
    }
    const [first] = [...this.#running].sort(([, left], [, right]) => left - right);
    if (first === undefined) return undefined;
    const [job, endsAt] = first;
    this.now = endsAt;
    this.#running.delete(job);
    this.#queue.end(job, job.cost * 1000);
    for (const user of job.users) this.used.set(user, (this.used.get(user) ?? 0) + job.cost / job.users.length);
    return job;
  }

  #next(): Job | undefined {
    return this.#running.size < this.#slots ? this.#queue.peek(this.now) : undefined;
  }
}

const shares = new Map<User, number>([
  [1, 1],
  [2, 1],
  [3, 2],
]);

test("users with shares 1, 1 and 2 get processor time by them, whatever the sizes of their jobs", () => {
  const size = fc.integer({ min: 1, max: 2000 });
  fc.assert(
    fc.property(size, size, size, fc.integer({ min: 1, max: 4 }), fc.boolean(), (one, two, three, slots, guesses) => {
      const costs = new Map([[1, one], [2, two], [3, three]]); // biome-ignore format: a table
      const machine = new Machine(slots, shares, guesses ? ({ cost }) => cost * 1500 : () => 0);
      const addOne = (user: User) => machine.add({ name: "job", users: [user], cost: costs.get(user) ?? 1 });
      for (const user of [1, 2, 3]) for (let count = 0; count < 10; count += 1) addOne(user);
      const whole = 400 * Math.max(one, two, three);
      while (machine.now * slots < whole) for (const user of machine.step()?.users ?? []) addOne(user);
      const all = [...machine.used.values()].reduce((sum, used) => sum + used);
      for (const [user, share] of shares) {
        const part = (machine.used.get(user) ?? 0) / all;
        expect(part, `user ${user}`).toBeGreaterThan((share / 4) * 0.9);
        expect(part, `user ${user}`).toBeLessThan((share / 4) * 1.1);
      }
    }),
    { numRuns: 40 },
  );
});

test("one user's thousand builds do not keep another's one waiting", () => {
  const machine = new Machine(1, new Map());
  for (let count = 0; count < 1000; count += 1) machine.add({ name: "many", users: [1], cost: 10 });
  for (let count = 0; count < 100; count += 1) machine.step();
  machine.add({ name: "one", users: [2], cost: 10 });
  machine.step();
  machine.step();
  expect(machine.started.slice(-2).map(({ name }) => name)).toContain("one");
});

test("who has long builds of which nothing is known does not get every slot that comes free", () => {
  const hour = 3_600_000;
  const machine = new Machine(4, new Map(), ({ name }) => (name === "short" ? 10_000_000 : 1000));
  for (let count = 0; count < 20; count += 1) machine.add({ name: "long", users: [1], cost: hour });
  for (let count = 0; count < 200; count += 1) machine.add({ name: "short", users: [2], cost: 10_000 });
  while (machine.now < hour - 20_000) machine.step();
  // Two of four slots each: the short ones of the other user go on all the time.
  const shortOnes = machine.started.filter(({ name }) => name === "short").length;
  expect(shortOnes).toBe(200);
  expect(machine.started.filter(({ name }) => name === "long").length).toBeLessThanOrEqual(4);
});

test("who was away does not come back with time saved up", () => {
  const machine = new Machine(1, new Map());
  const add = (user: User) => machine.add({ name: `${user}`, users: [user], cost: 10 });
  add(2);
  machine.step();
  for (let count = 0; count < 200; count += 1) add(1);
  for (let count = 0; count < 100; count += 1) machine.step();
  for (let count = 0; count < 50; count += 1) add(2);
  const before = machine.started.length;
  for (let count = 0; count < 40; count += 1) machine.step();
  const mine = machine.started.slice(before).filter(({ name }) => name === "2").length;
  expect(mine).toBeGreaterThan(17);
  expect(mine).toBeLessThan(23);
});

test("what two want is paid by both", () => {
  const machine = new Machine(1, new Map());
  machine.add({ name: "shared", users: [1, 2], cost: 100 });
  machine.step();
  for (const user of [1, 2, 3])
    for (let count = 0; count < 20; count += 1) machine.add({ name: "own", users: [user], cost: 10 });
  for (let count = 0; count < 12; count += 1) machine.step();
  const [one = 0, two = 0] = [machine.used.get(1), machine.used.get(2)];
  expect(Math.abs(one - two)).toBeLessThanOrEqual(10); // a job of one of them at most
});

describe("priorities", () => {
  test("order a user's own builds, and the oldest is overtaken for a bounded time only", () => {
    fc.assert(
      fc.property(fc.integer({ min: priorities.least, max: 0 }), fc.integer({ min: 1, max: 50 }), (low, cost) => {
        const machine = new Machine(1, new Map());
        const old: Job = { name: "old", users: [1], cost };
        machine.add(old, low);
        const patienceMs = -low * priorities.stepMs;
        while (!machine.started.includes(old)) {
          machine.add({ name: "new", users: [1], cost: cost * 1000 }, 0);
          machine.step();
          expect(machine.now).toBeLessThanOrEqual(patienceMs + 2 * cost * 1000);
        }
      }),
    );
  });

  test("a raised one goes before others' turns, until what it overtakes has waited for longer", () => {
    const machine = new Machine(1, new Map());
    machine.add({ name: "running", users: [3], cost: 10 });
    machine.step();
    machine.add({ name: "usual", users: [1], cost: 10 });
    machine.add({ name: "raised", users: [3], cost: 10 }, 10);
    machine.step();
    expect(machine.started.at(-1)?.name).toBe("raised");
    machine.now += 11 * priorities.stepMs; // "usual" has waited for more than ten steps
    machine.add({ name: "raised again", users: [3], cost: 10 }, 10);
    machine.step();
    expect(machine.started.at(-1)?.name).toBe("usual");
  });
});

test("what is not waiting any more is passed over", () => {
  const waiting = new Set(["a", "b"]);
  const queue = new FairQueue<string>({ shareOf: () => 1, isWaiting: (item) => waiting.has(item) });
  for (const item of waiting) queue.push(item, [{ user: 1, priority: 0 }], 0);
  expect(queue.peek(0)).toBe("a");
  waiting.delete("a");
  expect(queue.peek(0)).toBe("b");
  waiting.delete("b");
  expect(queue.peek(0)).toBe(undefined);
});

test("ten thousand that wait cost each start little", () => {
  const waiting = new Set<number>();
  const queue = new FairQueue<number>({ shareOf: () => 1, isWaiting: (item) => waiting.has(item) });
  const count = (run: () => void) => {
    const startMs = performance.now();
    run();
    return performance.now() - startMs;
  };
  const through = (size: number) =>
    count(() => {
      for (let item = 0; item < size; item += 1) {
        waiting.add(item);
        queue.push(item, [{ user: item % 3, priority: 0 }], item);
      }
      for (let item = queue.peek(0); item !== undefined; item = queue.peek(0)) {
        waiting.delete(item);
        queue.start(item, [item % 3], 1, 0);
        queue.end(item, 1);
      }
    });
  through(1000);
  const few = through(1000) / 1000;
  const many = through(30_000) / 30_000;
  expect(many).toBeLessThan(few * 20 + 0.05); // in proportion to the number, it would be thirty times and more
});
