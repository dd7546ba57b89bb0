import { expect, test } from "vitest";
import type { BuildEvent } from "../../../../daemon/api/events.ts";
import { GoalEvents } from "../../../../daemon/scheduler/goal-events.ts";
import { parseStorePath } from "../../../../derivations/store-path.ts";

const about = { drvPath: parseStorePath(`${"0".repeat(32)}-test.drv`), name: "test" };

/** A build whose log is in a file, as the events of its own pieces come. */
function startBuild() {
  const file: Uint8Array[] = [];
  let change = Promise.withResolvers<void>();
  let isOver = false;
  const events = new GoalEvents(async function* () {
    for (let index = 0; ; ) {
      const piece = file[index];
      if (piece !== undefined) {
        index += 1;
        yield piece;
      } else if (isOver) return;
      else await change.promise;
    }
  });
  const changed = () => {
    change.resolve();
    change = Promise.withResolvers();
  };
  events.emit({ kind: "build-started", ...about, recordId: "record" });
  return {
    events,
    write: (text: string) => {
      const bytes = Buffer.from(text);
      file.push(bytes);
      events.emit({ kind: "build-log", ...about, bytes });
      changed();
    },
    end: () => {
      isOver = true;
      changed();
      const result = { drvPath: about.drvPath, status: "built", outputs: {} } as const;
      events.emit({ kind: "build-finished", ...about, result, lastLogLines: [] });
    },
  };
}

const textOf = (events: readonly BuildEvent[]) =>
  events.map((event) => (event.kind === "build-log" ? Buffer.from(event.bytes).toString() : "")).join("");

test("who comes late and takes a long log slowly gets all of it in order, and the end after it", async () => {
  const build = startBuild();
  let written = "";
  const write = (index: number) => {
    const text = `${index} ${"x".repeat(99_999)}\n`;
    written += text;
    build.write(text);
  };
  for (let index = 0; index < 20; index += 1) write(index);
  const heard: BuildEvent[] = [];
  const caughtUp = build.events.join(async (event) => {
    heard.push(event);
    if (heard.length < 40) write(20 + heard.length); // while it is being told
    await new Promise((resolve) => setImmediate(resolve));
  });
  await caughtUp;
  write(1000);
  build.end();
  expect(textOf(heard)).toBe(written);
  expect(heard.map(({ kind }) => kind).lastIndexOf("build-log")).toBeLessThan(heard.length - 1);
});

test("who leaves while being told is told nothing more", async () => {
  const build = startBuild();
  for (let index = 0; index < 20; index += 1) build.write("x".repeat(100_000));
  const heard: BuildEvent[] = [];
  const listener = (event: BuildEvent) => {
    heard.push(event);
    if (heard.length === 3) build.events.leave(listener);
  };
  await build.events.join(listener);
  build.write("more");
  expect(heard).toHaveLength(3);
});
