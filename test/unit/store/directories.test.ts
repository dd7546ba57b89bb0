/** A store whose directory is a mount of its own: objects are made and removed on it, or they could not be moved. */
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { bytes } from "../../../derivations/bytes.ts";
import { addText } from "../../../store/add.ts";
import { collectGarbage } from "../../../store/gc.ts";
import { addPermanentRoot } from "../../../store/gc-roots.ts";
import { findProblems, workOn } from "../../support/store-state.ts";
import { TemporaryStore } from "../../support/temporary-store.ts";

test("where the store is a mount of its own, staging lies in it, and is not collected", async ({ skip }) => {
  await using temporary = new TemporaryStore();
  const directory = join(temporary.root, "cloister/store");
  mkdirSync(directory, { recursive: true });
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=16m,mode=755", "tmpfs", directory], { stdio: "ignore" });
  } catch {
    return skip("needs to mount a tmpfs");
  }
  try {
    const store = await temporary.open();
    expect(store.layout.stagingDirectory).toBe(join(directory, ".cloister/staging"));
    await workOn(store, 3, 20);
    const kept = await addText(store, "kept", bytes("kept"), []);
    await addPermanentRoot(store, "kept", kept);
    await collectGarbage(store, { dryRun: false });
    expect(temporary.onDisk()).toContain(".cloister");
    expect(temporary.onDisk()).toContain(kept);
    expect(await findProblems(store)).toEqual([]);
    await temporary.close();
  } finally {
    execFileSync("umount", [directory]);
  }
});
