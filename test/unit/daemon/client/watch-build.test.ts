import { expect, test } from "vitest";
import type { BuildEvent } from "../../../../daemon/api/events.ts";
import { type BuildRun, watchBuild } from "../../../../daemon/client/watch-build.ts";
import { missingBusybox } from "../../../support/busybox.ts";
import { missingJails } from "../../../support/command-line.ts";
import { LocalBuilds, type Recipe } from "../../../support/local-builds.ts";

const missing = missingJails || (missingBusybox ? "needs a static busybox (busybox-static)" : "");

async function run(recipe: Recipe, use: (run: BuildRun) => Promise<void>): Promise<void> {
  await using builds = await LocalBuilds.open();
  const { target } = await builds.derive(recipe);
  await using build = watchBuild(builds.service, [target]);
  await use(build);
}

test("events come in their order and end with the build", async ({ skip }) => {
  skip(missing !== "", missing);
  await run({ script: "echo one; echo two; mkdir $out" }, async ({ events, results }) => {
    const kinds: BuildEvent["kind"][] = [];
    for await (const { kind } of events) if (kind !== kinds.at(-1)) kinds.push(kind);
    expect(kinds).toEqual(["plan", "build-started", "build-log", "build-finished"]);
    expect(await results).toMatchObject([{ status: "built" }]);
  });
});

test("cancelling rejects the results with the reason, and the iteration ends", async ({ skip }) => {
  skip(missing !== "", missing);
  await run({ script: "sleep 100" }, async ({ events, results, cancel }) => {
    const ended = expect(results).rejects.toThrow("no more");
    for await (const event of events) if (event.kind === "build-started") cancel(new Error("no more"));
    await ended;
  });
});

test("a reader that never reads is told how much it missed, and no more than a few MiB are kept for it", async ({
  skip,
}) => {
  skip(missing !== "", missing);
  const size = 20 * 1024 * 1024;
  await run({ script: `yes | head -c ${size}; mkdir $out` }, async ({ events, results }) => {
    await results;
    let kept = 0;
    let told = "";
    let last = "";
    for await (const event of events) {
      last = event.kind;
      if (event.kind !== "build-log") continue;
      const text = Buffer.from(event.bytes).toString();
      if (text.includes("[cloister: ")) told += text;
      else kept += event.bytes.length;
    }
    expect(kept).toBeLessThanOrEqual(4 * 1024 * 1024);
    const missed = Number(/(\d+) bytes of the log left out/.exec(told)?.[1]);
    expect(kept + missed).toBe(size);
    expect(last).toBe("build-finished");
  });
});
