/** The moments at which a build is struck: who dies, at which named line. */
import type { CrashPoint } from "../../store/crash-points.ts";
import { makeRandom, shuffled } from "../support/random.ts";

export type Victim = "daemon" | "launcher" | "builder" | "client";

export interface Moment {
  readonly victim: Victim;
  readonly point: CrashPoint;
  readonly nth: number;
  /** After the line was reached, so that what the launcher does meanwhile is struck too. */
  readonly delayMs: number;
}

/** The lines of a build that go by in the daemon, in order. */
const steps: readonly CrashPoint[] = [
  "text:written",
  "build:ordered",
  "build:logged",
  "build:answered",
  "build:settled",
  "commit:sealing",
  "commit:moved",
  "register:before-commit",
  "register:after-commit",
  "commit:done",
];
/** A builder is only there between its order and its answer. */
const builderSteps: readonly CrashPoint[] = ["build:ordered", "build:logged"];

const cells = [
  ...(["daemon", "launcher", "client"] as const).flatMap((victim) => steps.map((point) => ({ victim, point }))),
  ...builderSteps.map((point) => ({ victim: "builder" as const, point })),
];

/** `count` moments in random order; from 32 on, each victim is struck at each of its steps. */
export function makeMoments(seed: number, count: number): Moment[] {
  const random = makeRandom(seed);
  const order = shuffled(cells, random);
  return Array.from({ length: count }, (_, index) => {
    const cell = order[index % order.length] as (typeof cells)[number];
    // The first build of two or the second; and for what runs beside the daemon, some milliseconds later.
    const delayMs = cell.victim !== "daemon" && cell.point.startsWith("build:") ? Math.floor(random() * 40) : 0;
    return { ...cell, nth: random() < 0.5 ? 1 : 2, delayMs };
  });
}

/** Made by the daemon when it strikes. */
export function struckFile(root: string): string {
  return `${root}.struck`;
}

export function nameOf({ victim, point }: Moment): string {
  return `${victim} at ${point}`;
}

/** How often each victim was struck at each step. */
export function countStruck(struck: readonly Moment[]): ReadonlyMap<string, number> {
  const counts = new Map(cells.map((cell) => [nameOf({ ...cell, nth: 1, delayMs: 0 }), 0]));
  for (const moment of struck) counts.set(nameOf(moment), (counts.get(nameOf(moment)) ?? 0) + 1);
  return counts;
}

export function printHistogram(counts: ReadonlyMap<string, number>): string {
  return [...counts].map(([name, count]) => `${String(count).padStart(5)}  ${name}`).join("\n");
}
