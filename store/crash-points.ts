/**
 * The named lines at which a test ends this process, or another one, as `kill -9` does. Armed by a call alone, never by
 * the environment, so a daemon that serves cannot be made to stop at one.
 */

export const crashPoints = [
  "open:locked",
  "open:writer-started",
  "add:restored",
  "add:checked",
  "add:moved",
  "add:registered",
  "text:written",
  "commit:sealing",
  "commit:moved",
  "commit:registered",
  "commit:done",
  "register:before-commit",
  "register:after-commit",
  "barrier:synced",
  "barrier:checkpointed",
  "barrier:recorded",
  "gc:marked",
  "gc:invalidated",
  "gc:durable",
  "gc:removed",
  "root:written",
  "build:ordered",
  "build:logged",
  "build:answered",
  "build:settled",
] as const;

export type CrashPoint = (typeof crashPoints)[number];

let onPassed: ((point: CrashPoint) => void) | undefined;

/**
 * From now on, `strike` is called the `nth` time (1 is the first) that this process reaches the point; by default the
 * process dies. Undefined disarms.
 */
export function setCrashPoint(point: CrashPoint | undefined, nth = 1, strike: () => void = die): void {
  let remaining = nth;
  const strikeAt = (passed: CrashPoint) => {
    if (passed === point && --remaining <= 0) strike();
  };
  onPassed = point === undefined ? undefined : strikeAt;
}

/** From now on, `listener` is told of each point that this process passes, in place of what was armed. */
export function watchCrashPoints(listener: (point: CrashPoint) => void): void {
  onPassed = listener;
}

/** Costs a comparison when nothing is armed. */
export function crashPoint(point: CrashPoint): void {
  onPassed?.(point);
}

function die(): void {
  process.kill(process.pid, "SIGKILL"); // does not come back
}
