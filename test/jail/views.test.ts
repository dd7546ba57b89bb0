/** A view keeps its inputs' mounts for the next build: what that one sees must not depend on it. */
import { mkdirSync, statfsSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { strengthsToTest } from "../support/granted-strengths.ts";
import {
  busybox,
  makeTemporaryLauncher,
  out,
  shellSpec,
  storeDirectory,
  storeName,
  type TemporaryLauncher,
} from "../support/temporary-launcher.ts";

type Kind = "directory" | "file" | "symlink";

describe.for(await strengthsToTest())("in $strength strength", ({ strength, missing }) => {
  let here: TemporaryLauncher;
  beforeAll(async () => {
    if (missing === "") here = await makeTemporaryLauncher({ strength, maxJobs: 1 });
  });
  afterAll(() => here?.[Symbol.asyncDispose]());

  const make = (store: string, name: string, kind: Kind, contents: string): void => {
    const path = join(store, name);
    if (kind === "symlink") symlinkSync(contents, path);
    else if (kind === "directory") mkdirSync(path);
    if (kind !== "symlink") writeFileSync(kind === "directory" ? join(path, "contents") : path, contents);
  };
  /** One line for each thing in the store directory: its name and what is in it. */
  const list = `cd ${storeDirectory}; for name in *; do
    if [ -L "$name" ]; then echo "$name $(readlink "$name")"
    elif [ -d "$name" ]; then echo "$name $(cat "$name/contents" 2>/dev/null)"
    else echo "$name $(cat "$name")"; fi; done`;

  test("whatever was built before, a build sees its own inputs, as they are now, and nothing else", async ({
    skip,
  }) => {
    skip(missing !== "", missing);
    const names = ["1", "2", "3", "4", "5", "6"].map((digit) => storeName(digit, "object"));
    const build = fc.record({
      kind: fc.constant("build" as const),
      inputs: fc.subarray(names),
      leaves: fc.constantFrom("", `mkdir -p $out/x`, `echo stale > ${storeDirectory}/stale`, "exit 3"),
    });
    const replace = fc.record({
      kind: fc.constant("replace" as const),
      name: fc.constantFrom(...names),
      as: fc.constantFrom<Kind>("directory", "file", "symlink"),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof({ weight: 3, arbitrary: build }, replace), { maxLength: 16 }),
        async (steps) => {
          await using fresh = await makeTemporaryLauncher({ strength, maxJobs: 1 });
          const held = new Map<string, string>();
          let version = 0;
          for (const step of steps) {
            if (step.kind === "replace") {
              if (held.delete(step.name)) await fresh.launcher.remove([step.name]);
              version += 1;
              make(fresh.store, step.name, step.as, `version-${version}`);
              held.set(step.name, `version-${version}`);
              continue;
            }
            const inputs = step.inputs.filter((name) => held.has(name));
            const spec = shellSpec(`${list}; ${step.leaves}`, { inputs, outputs: [out] });
            const { answer, log } = await fresh.run(spec);
            await fresh.launcher.discard([], [answer.view]);
            const expected = [...inputs.map((name) => `${name} ${held.get(name)}`), busybox].sort();
            expect(`${JSON.stringify(answer.ending)} ${log.replaceAll(/ *\n/g, ";")}`).toMatch(/^{"kind":"exited"/);
            expect(log.trimEnd().split(/ *\n/)).toEqual(expected);
          }
        },
      ),
      { numRuns: 40 },
    );
  }, 120_000);

  test("nothing holds the space of an object that was an input and has been removed", async ({ skip }) => {
    skip(missing !== "", missing);
    const name = storeName("7", "big");
    writeFileSync(join(here.store, name), Buffer.alloc(64 << 20, 1));
    await here.shell("true", { inputs: [name] });
    const free = () => Number(statfsSync(here.store).bavail) * statfsSync(here.store).bsize;
    const before = free();
    await here.launcher.remove([name]);
    await expect.poll(() => free() - before, { timeout: 10_000 }).toBeGreaterThan(48 << 20);
  }, 30_000);

  test("what was an input of the last build but one can be removed at once", async ({ skip }) => {
    skip(missing !== "", missing);
    const names = ["6", "7", "8"].map((digit) => storeName(digit, "former"));
    for (let round = 0; round < 40; round += 1) {
      for (const name of names) make(here.store, name, round % 2 === 0 ? "directory" : "file", "former");
      await here.shell("true", { inputs: names });
      await here.shell("true");
      expect(await here.launcher.remove(names)).toMatchObject({ missing: [] });
    }
  });

  test("builds side by side do not share what they may write", async ({ skip }) => {
    skip(missing !== "", missing);
    await using two = await makeTemporaryLauncher({ strength, maxJobs: 2 });
    const wait = `i=0; while [ $i -lt 50 ] && [ ! -e ${storeDirectory}/from-the-other ]; do sleep 0.02; i=$((i+1)); done`;
    const script = `echo here > ${storeDirectory}/from-$WHO; ${wait}; ls ${storeDirectory}`;
    const run = (who: string, leaves: string) => {
      const spec = shellSpec(script.replace("from-$WHO", leaves), { outputs: [] });
      return two.run({ ...spec, environment: [...spec.environment, Buffer.from(`WHO=${who}`)] });
    };
    const [first, second] = await Promise.all([run("first", "from-first"), run("second", "from-the-other")]);
    expect(first.log).not.toContain("from-the-other");
    expect(second.log).not.toContain("from-first");
  });
});
