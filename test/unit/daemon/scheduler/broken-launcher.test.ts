import { expect, test } from "vitest";
import { Scheduler } from "../../../../daemon/scheduler/scheduler.ts";
import { printDerivation } from "../../../../derivations/aterm.ts";
import { bytes } from "../../../../derivations/bytes.ts";
import { fillOutputs } from "../../../../derivations/derivation-hash.ts";
import type { Launcher } from "../../../../sandbox-native/launcher.ts";
import { addText } from "../../../../store/add.ts";
import { options } from "../../../support/local-builds.ts";
import { storeDirectory, type TemporaryStore, temporaryStore } from "../../../support/temporary-store.ts";

/** A launcher whose answers cannot be understood, as one of another version would be. */
function brokenLauncher(): Launcher {
  const broken = () => Promise.reject(new RangeError("the answer ends too early"));
  return {
    strength: "single",
    pid: process.pid,
    unsweptEntries: 0,
    closed: new Promise(() => {}),
    build: broken,
    restore: broken,
    writeText: broken,
    move: broken,
    rewrite: broken,
    discard: broken,
    giveUpBuildDirectory: broken,
    remove: broken,
    usage: broken,
    close: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

async function addDerivation({ store }: TemporaryStore, name: string) {
  const derivation = fillOutputs(
    storeDirectory,
    {
      name,
      outputs: new Map([["out", { kind: "deferred" }]]),
      inputDerivations: new Map(),
      inputSources: new Set(),
      system: "x86_64-linux",
      builder: bytes("/b"),
      args: [],
      environment: new Map(),
    },
    () => {
      throw new Error("there are no inputs");
    },
  );
  return await addText(store, `${name}.drv`, printDerivation(storeDirectory, derivation), [], { leaseOwner: "test" });
}

test("a mistake of our own ends the build that met it, is told, and leaves nothing running or held", async () => {
  await using temporary = await temporaryStore();
  const scheduler = new Scheduler({
    store: temporary.store,
    launcher: brokenLauncher(),
    maxJobs: 1,
    cores: 1,
    system: "x86_64-linux",
  });
  const drvPaths = [await addDerivation(temporary, "one"), await addDerivation(temporary, "two")];
  const results = await scheduler.build(
    drvPaths.map((drvPath) => ({ kind: "built", drvPath, outputs: "all" }) as const),
    { ...options, keepGoing: true, owner: "test" },
  );
  for (const result of results)
    expect(result).toMatchObject({
      status: "failed",
      error: { code: "BUILD_INTERNAL", details: { problem: "the answer ends too early" } },
    });
  expect([scheduler.running, scheduler.waiting]).toEqual([0, 0]);
  temporary.store.leases.release("test");
  expect([...temporary.store.leases.entries()]).toEqual([]);
});
