/** Requests that need no client, and the daemons after the one that they were told to. */
import { join } from "node:path";
import Database from "better-sqlite3";
import { expect, test } from "vitest";
import type { BuildEvent } from "../../daemon/api/events.ts";
import type { Service } from "../../daemon/api/service.ts";
import { missingBusybox } from "../support/busybox.ts";
import { LocalBuilds, options } from "../support/local-builds.ts";
import { TestDaemon, type TestDaemonOptions } from "../support/test-daemon.ts";

const endless = "echo endless; while :; do :; done";

/** Two derivations of which the second needs the first; the first has been built, the second does not end. */
async function submitTwo(daemon: TestDaemon) {
  const client = await daemon.connect();
  const builds = await LocalBuilds.over(client, daemon.root);
  const first = await builds.derive({ name: "first", script: "echo one; echo first > $out" });
  const second = await builds.derive({
    ...{ name: "second", script: endless, inputs: [first], variables: { first: first.out() } },
  });
  const id = await client.submit([first.target, second.target], options);
  await expect
    .poll(async () => (await client.queryActivity()).builds, { timeout: 20_000 })
    .toMatchObject([{ name: "second", state: "running" }]);
  return { client, id };
}

/** All of it until the second build's log is there. */
async function watchSecond(service: Service, id: string): Promise<readonly BuildEvent[]> {
  const events: BuildEvent[] = [];
  const stop = new AbortController();
  const onEvent = (event: BuildEvent) => {
    events.push(event);
    const plans = events.filter(({ kind }) => kind === "plan").length;
    if (plans === 2 && event.kind === "build-log" && event.name === "second") stop.abort(new Error("seen"));
  };
  await expect(service.attach(id, { onEvent, signal: stop.signal })).rejects.toThrow("seen");
  return events;
}

test.skipIf(missingBusybox)(
  "a daemon that ends in order leaves it to the next one, which goes on where it was",
  async () => {
    const before = await TestDaemon.start();
    const { client, id } = await submitTwo(before);
    const seen = Promise.withResolvers<void>();
    const attached = client.attach(id, { onEvent: () => seen.resolve() });
    const told = expect(attached).rejects.toMatchObject({ code: "REQUEST_SUSPENDED", details: { id } });
    await seen.promise;
    await using daemon = await before.restart();
    await told;
    await using service = await daemon.connect();
    const events = await watchSecond(service, id);
    expect(events.map((event) => [event.kind, "name" in event ? event.name : ""])).toEqual([
      ["plan", ""],
      ["build-started", "first"],
      ["build-log", "first"],
      ["build-finished", "first"],
      ["build-started", "second"],
      ["build-log", "second"],
      ["build-finished", "second"], // cut off
      ["plan", ""],
      ["build-started", "second"],
      ["build-log", "second"],
    ]);
    expect(events[6]).toMatchObject({ result: { status: "cancelled" } });
    expect(events[7]).toMatchObject({ toBuild: [{ name: "second" }], alreadyValid: 1, requestId: id });
    await service.cancel(id);
    expect(await service.attach(id)).toMatchObject([{ status: "already-valid" }, { status: "cancelled" }]);
    expect(
      await (await LocalBuilds.over(service, daemon.root)).read((await service.attach(id))[0]?.outputs["out"]),
    ).toBe("first\n");
  },
);

test.skipIf(missingBusybox)(
  "one that has ended can be attached to under the next daemon, and still holds what it made",
  async () => {
    const before = await TestDaemon.start();
    const client = await before.connect();
    const builds = await LocalBuilds.over(client, before.root);
    const derived = await builds.derive({ name: "made", script: "echo said; echo made > $out" });
    const id = await client.submit([derived.target], options);
    const results = await client.attach(id);
    await using daemon = await before.restart();
    await using service = await daemon.connect();
    const path = results[0]?.outputs["out"] ?? expect.fail("it was not built");
    expect((await service.collectGarbage({ dryRun: false })).deleted).not.toContain(path);
    const events: BuildEvent[] = [];
    expect(await service.attach(id, { onEvent: (event) => void events.push(event) })).toEqual(results);
    expect(events.map(({ kind }) => kind)).toEqual(["plan", "build-started", "build-log", "build-finished"]);
  },
);

test.skipIf(missingBusybox)(
  "what was kept longer than it is to be is forgotten, and what it made is not held any more",
  async () => {
    const start = (more: TestDaemonOptions) =>
      TestDaemon.start({ retention: { keptMs: 3_600_000, perUser: 2 }, ...more });
    await using daemon = await start({});
    await using client = await daemon.connect();
    const builds = await LocalBuilds.over(client, daemon.root);
    const ids: string[] = [];
    const paths: string[] = [];
    const maker = await daemon.connect();
    for (const name of ["one", "two", "three"]) {
      const { target } = await builds.derive({ name, script: "echo $name > $out", variables: { name } });
      const id = await maker.submit([target], options);
      const [result] = await maker.attach(id);
      ids.push(id);
      paths.push(result?.outputs["out"] ?? "");
    }
    await maker[Symbol.asyncDispose]();
    await expect(client.attach(ids[0] ?? "")).rejects.toMatchObject({ code: "REQUEST_UNKNOWN" });
    expect(await client.attach(ids[1] ?? "")).toMatchObject([{ status: "built" }]);
    await using other = await daemon.connect();
    await client[Symbol.asyncDispose]();
    await expect.poll(async () => (await other.collectGarbage({ dryRun: true })).deleted).toContain(paths[0]);
    const { deleted } = await other.collectGarbage({ dryRun: true });
    expect(deleted).not.toContain(paths[2]);

    await other.addPermanentRoot("three", paths[2] as never);
    await other.removeRoot(
      (await other.listRoots()).find(({ kind, path }) => kind === "permanent" && path === paths[2])?.from ?? "",
    );
    expect((await other.collectGarbage({ dryRun: true })).deleted).toContain(paths[2]);
  },
);

test.skipIf(missingBusybox)("what another version wrote is said to be unreadable, and harms nothing else", async () => {
  const before = await TestDaemon.start();
  const { id } = await submitTwo(before);
  before.daemon.stop(0);
  await before.daemon.stopped;
  const database = new Database(join(before.root, "cloister/var/cloister/db/cloister.sqlite"));
  database.prepare("update KeptRequests set asked = ?").run(Buffer.from([0x81, 0xa1, 0x61, 0x01]));
  database.close();
  await using daemon = await TestDaemon.start({ root: before.root });
  await using service = await daemon.connect();
  await expect(service.attach(id)).rejects.toMatchObject({ code: "REQUEST_UNREADABLE", details: { id } });
  expect((await service.queryActivity()).requests).toEqual([]);
});

test.skipIf(missingBusybox)("a daemon does not end for want of clients while it has such a request", async () => {
  await using daemon = await TestDaemon.start({ idleExitMs: 30, maxJobs: 1 });
  const { client, id } = await submitTwo(daemon);
  await client[Symbol.asyncDispose]();
  await using idle = await TestDaemon.start({ idleExitMs: 30 }); // begins later, and so is not over before the other's time
  await idle.daemon.stopped;
  const again = await daemon.connect();
  await again.cancel(id);
  await again[Symbol.asyncDispose]();
  await daemon.daemon.stopped;
});
