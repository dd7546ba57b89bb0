/**
 * Goal: each defence that no advisory takes out is what holds an attempt of the probe's, and not another one beside it.
 * Method: the probe (test/jail/probe/) as a builder of a launcher out of which the defence has been taken finds that attempt
 * open, and of the real launcher finds it held.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { strengthsToTest } from "../support/granted-strengths.ts";
import { compileNativePrograms } from "../support/native-programs.ts";
import type { ProbeRow } from "../support/probe-report.ts";
import { ProbeBench } from "../support/probe-runs.ts";
import { makeTemporaryLauncher, storeDirectory } from "../support/temporary-launcher.ts";

/** `detail` is of a row that other things open as well. */
const cases: readonly { readonly without: string; readonly rows: readonly string[]; readonly detail?: string }[] = [
  { without: "own_ipc", rows: ["namespaces/own-ipc", "memory/shared-segment", "memory/message-queue"] },
  { without: "old_root_left", rows: ["mounts/nodev"], detail: "/old/" },
  { without: "read_only_inputs", rows: ["inputs/write", "inputs/truncate", "inputs/utime", "frame/write-world"] },
  { without: "read_only_root", rows: ["frame/write-root"] },
  { without: "no_new_privileges", rows: ["privileges/no-new-privs"] },
  { without: "bounding_set", rows: ["privileges/bounding-set", "privileges/securebits"] },
  { without: "proc_masks", rows: ["proc/keys", "proc/sys-read-only"] },
  { without: "read_only_devices", rows: ["devices/touch-null"] },
];

let bench: ProbeBench;
beforeAll(async () => {
  compileNativePrograms("without");
  bench = await ProbeBench.open();
}, 300_000);
afterAll(() => bench?.[Symbol.asyncDispose]());

describe.for(await strengthsToTest())("in $strength strength", ({ strength, missing }) => {
  const probe = async (without: readonly string[]): Promise<ProbeRow[]> => {
    await using here = await makeTemporaryLauncher({ strength, without });
    const { rows, answer } = await bench.inCloister(here);
    await here.launcher.discard([], [answer.view]);
    expect(answer.ending).toEqual({ kind: "exited", code: 0 });
    return rows;
  };
  const pick = (rows: readonly ProbeRow[], names: readonly string[]) => rows.filter(({ name }) => names.includes(name));

  test.for(cases)("without $without the probe finds $rows open", async ({ without, rows, detail = "" }, { skip }) => {
    skip(missing !== "", missing);
    expect(pick(await probe([without]), rows)).toEqual(
      rows.map((name) => ({ name, verdict: "open", detail: expect.stringContaining(detail) })),
    );
  });

  test("in the real one all of these are held", async ({ skip }) => {
    skip(missing !== "", missing);
    const names = cases.flatMap(({ rows }) => rows);
    const held = pick(await probe([]), names).filter(({ verdict }) => verdict === "held");
    expect(held.map(({ name }) => name).sort()).toEqual([...names].sort());
  });

  test.for([
    { without: ["cleaned_views"], seen: true },
    { without: [], seen: false },
  ])("what a build leaves beside its inputs is seen by the next one without $without: $seen", async (way, { skip }) => {
    skip(missing !== "", missing);
    skip(strength === "single", "needs root or range strength: in single strength no view is used twice");
    await using here = await makeTemporaryLauncher({ strength, maxJobs: 1, without: way.without });
    await here.shell(`echo stale > ${storeDirectory}/stale`);
    expect((await here.shell(`ls ${storeDirectory}`)).includes("stale\n")).toBe(way.seen);
  });
});
