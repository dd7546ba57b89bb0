/** What is painted while builds run: from events to lines, at every size of a terminal. */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { BuildEvent } from "../../../../daemon/api/events.ts";
import { BuildTracker } from "../../../../daemon/cli/build-tracker.ts";
import { drawPicture, type PictureOptions } from "../../../../daemon/cli/live-picture.ts";
import { Painter } from "../../../../daemon/cli/terminal.ts";
import { widthOf } from "../../../../daemon/cli/text-width.ts";
import { parseStorePath, type StorePath } from "../../../../derivations/store-path.ts";

const drv = (index: number): StorePath => parseStorePath(`${String(index).padStart(32, "0")}-part-${index}.drv`);
const name = (index: number) => `part-${index}`;
const started = (index: number): BuildEvent => ({
  ...{ kind: "build-started", drvPath: drv(index), name: name(index), recordId: `id-${index}` },
});
const log = (index: number, text: string): BuildEvent => ({
  ...{ kind: "build-log", drvPath: drv(index), name: name(index), bytes: Buffer.from(text) },
});
const ended = (index: number): BuildEvent => ({
  ...{ kind: "build-finished", drvPath: drv(index), name: name(index), lastLogLines: [] },
  result: { drvPath: drv(index), status: "built", outputs: {} },
});

function track(count: number, events: readonly BuildEvent[], expectedWallMs?: number): BuildTracker {
  const tracker = new BuildTracker(() => 0);
  const toBuild = Array.from({ length: count }, (_, index) => ({
    ...{ drvPath: drv(index), name: name(index) },
    ...(expectedWallMs !== undefined && { expectedWallMs }),
  }));
  tracker.note({ kind: "plan", toBuild, alreadyValid: 0 });
  for (const event of events) tracker.note(event);
  return tracker;
}

function draw(tracker: BuildTracker, options: Partial<PictureOptions> = {}): string[] {
  const paint = new Painter({ colours: false });
  const defaults = { nowMs: 0, columns: 80, rows: 24, jobs: 2, paint, colours: false, lastLines: true };
  return drawPicture(tracker, { ...defaults, ...options });
}

test("each build has a line with its phase, its time once it has taken a second, and the last line of its log", () => {
  const tracker = track(4, [
    started(0),
    log(0, 'one\n@nix {"action":"setPhase","phase":"buildPhase"}\ntwo\n\n'),
    started(1),
    log(1, "50 %\r60 %"),
    started(2),
    ended(2),
  ]);
  expect(draw(tracker, { nowMs: 900 })).toEqual([
    "▸ part-0  buildPhase  two",
    "▸ part-1  60 %",
    "1 of 4 done · 2 running · 1 waiting",
  ]);
  expect(draw(tracker, { nowMs: 62_500, lastLines: false })).toEqual([
    "▸ part-0  buildPhase  1 min 2 s",
    "▸ part-1  1 min 2 s",
    "1 of 4 done · 2 running · 1 waiting · 1 min 2 s so far",
  ]);
});

test("what builds of the same names took before says how long it may take", () => {
  const tracker = track(4, [started(0), started(1)], 60_000);
  const lines = draw(tracker, { nowMs: 30_000 });
  expect(lines[0]).toBe("▸ part-0  30 s of about 60 s");
  expect(lines.at(-1)).toBe("0 of 4 done · about 2 min left · 2 running · 2 waiting · 30 s so far");
});

test("the picture takes at most a third of the screen, and says how many builds it leaves out", () => {
  const tracker = track(
    30,
    Array.from({ length: 20 }, (_, index) => started(index)),
  );
  expect(draw(tracker, { rows: 24 })).toHaveLength(8);
  expect(draw(tracker, { rows: 24 }).slice(5)).toEqual([
    "▸ part-5",
    "  … and 14 more run",
    "0 of 30 done · 20 running · 10 waiting",
  ]);
  expect(draw(tracker, { rows: 3 })).toEqual(["0 of 30 done · 20 running · 10 waiting"]);
  expect(draw(tracker, { rows: 2 })).toEqual([]);
});

/**
 * Goal: no log line, whatever is in it, makes a line of the picture wider than the screen or brings a control character.
 * Method: random bytes and text with wide and combining characters, at sizes from tiny to wide.
 */
test("no line of the picture is wider than the screen, and none has control characters", () => {
  const piece = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.constantFrom("日本語", "e\u0301\u0302", "\u001b[2J", "\u001b]0;t\u0007", "\t", "\u202e", "👩‍👩‍👧", "\u001b[31m"),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), fc.integer({ min: 10, max: 200 }), (pieces, columns) => {
      const tracker = track(3, [started(0), log(0, pieces.join(""))]);
      for (const line of draw(tracker, { columns, colours: true, nowMs: 5000 })) {
        expect(widthOf(line)).toBeLessThan(columns);
        // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this is about
        expect(line.replace(/\u001b\[[0-9;:]*m/g, "")).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
      }
    }),
    { numRuns: 300, seed: 7 },
  );
});
