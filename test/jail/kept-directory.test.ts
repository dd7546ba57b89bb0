import { closeSync, mkdtempSync, openSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { hasBusybox, makeTemporaryLauncher, shellSpec } from "../support/temporary-launcher.ts";

/**
 * Goal: whatever a builder has left, its directory is archived up to the size that is allowed, and gone afterwards.
 */
test("a directory that is larger than may be kept is an error, and is removed all the same", async ({ skip }) => {
  skip(!hasBusybox, "needs a static busybox (busybox-static)");
  await using here = await makeTemporaryLauncher({});
  const folder = mkdtempSync(join(tmpdir(), "cloister-kept-"));
  try {
    for (const [mostBytes, fits] of [
      [100_000n, false],
      [200_000n, true],
    ] as const) {
      const spec = shellSpec("dd if=/dev/zero of=big bs=1000 count=150; exit 1", { outputs: [] });
      const order = { spec, candidates: [], outputs: [], keepDirectory: true };
      const { workspace, view } = await here.launcher.build(order, { onLog: () => {} });
      expect(workspace).not.toBe("");
      const file = join(folder, String(mostBytes));
      const to = openSync(file, "wx");
      try {
        const given = here.launcher.giveUpBuildDirectory(workspace, { to, mostBytes });
        if (fits) expect((await given).sizeBytes).toBe(statSync(file).size);
        else await expect(given).rejects.toMatchObject({ code: "TREE_SYSTEM_CALL", details: { errnoName: "EFBIG" } });
        expect(statSync(file).size).toBeLessThanOrEqual(Number(mostBytes));
      } finally {
        closeSync(to);
      }
      await here.launcher.discard([], [view]);
      await expect.poll(() => readdirSync(here.builds).includes(workspace), { message: "it is gone" }).toBe(false);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("a name that leads out of the builds' directory is refused", async ({ skip }) => {
  skip(!hasBusybox, "needs a static busybox (busybox-static)");
  await using here = await makeTemporaryLauncher({});
  for (const name of ["..", "a/b", ""])
    await expect(here.launcher.giveUpBuildDirectory(name)).rejects.toMatchObject({ code: "LAUNCHER_ORDER_INVALID" });
});
