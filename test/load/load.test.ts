/** The short form of `npm run load`, and a control: what must be found is. */
import { describe, expect, test } from "vitest";
import { missingBusybox } from "../support/busybox.ts";
import { missingJails } from "../support/command-line.ts";
import { behaviours } from "./behaviours.ts";
import { load } from "./load.ts";

const missing = missingJails || (missingBusybox ? "needs a static busybox (busybox-static)" : "");

describe.skipIf(missing !== "")(`many clients of all kinds${missing && `: ${missing}`}`, () => {
  test("no build is lost or done twice, nobody starves, nothing stays", { timeout: 600_000 }, async () => {
    const { problems, behaved, daemonKiB } = await load({ runs: 3, clients: 60, seed: 6 });
    expect(problems).toEqual([]);
    expect(Object.keys(behaved).sort()).toEqual(behaviours.map(({ name }) => name).sort());
    // Six that never read, of two or more MiB each in every run: what is kept for them would show.
    expect(Math.max(...daemonKiB)).toBeLessThan(400 * 1024);
  });

  test("control: a daemon that is killed in the middle is found out", { timeout: 600_000 }, async () => {
    const { problems } = await load({
      ...{ runs: 0, clients: 20, seed: 6 },
      sabotage: (pid) => process.kill(pid, "SIGKILL"),
    });
    expect(problems.join("\n")).toContain("patient client");
  });
});
