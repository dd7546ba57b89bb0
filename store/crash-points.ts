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

let armed: { readonly point: CrashPoint; remaining: number; readonly strike: () => void } | undefined;

/**
 * From now on, `strike` is called the `nth` time (1 is the first) that this process reaches the point; by default the
 * process dies. Undefined disarms.
 */
export function setCrashPoint(point: CrashPoint | undefined, nth = 1, strike: () => void = die): void {
  armed = point === undefined ? undefined : { point, remaining: nth, strike };
}

/** Costs a comparison when nothing is armed. */
export function crashPoint(point: CrashPoint): void {
  if (armed === undefined || armed.point !== point || --armed.remaining > 0) return;
  armed.strike();
}

function die(): void {
  process.kill(process.pid, "SIGKILL"); // does not come back
}
