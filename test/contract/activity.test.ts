/** What is told of what runs and what waits. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Service } from "../../daemon/api/service.ts";
import { missingBusybox } from "../support/busybox.ts";
import { type LocalBuilds, options } from "../support/local-builds.ts";
import { implementations, type RequestDaemon, startRequestDaemon } from "../support/request-peers.ts";

describe.skipIf(missingBusybox).each(implementations)("activity of %s", (_, open) => {
  let here: Awaited<ReturnType<typeof startRequestDaemon>>;
  let service: Service;
  let builds: LocalBuilds;
  let startBlocker: RequestDaemon["startBlocker"];
  beforeEach(async () => {
    here = await startRequestDaemon(open);
    ({ service, builds, startBlocker } = here);
  });
  afterEach(() => here[Symbol.asyncDispose]());

  test("what waits says what for", async () => {
    const blocker = await startBlocker();
    const first = await builds.derive({ name: "first", script: "echo > $out" });
    const second = await builds.derive({
      ...{ name: "second", script: "cat $first > $out", inputs: [first], variables: { first: first.out() } },
    });
    const id = await service.submit([second.target], options);
    const find = async (name: string) => (await service.queryActivity()).builds.find((build) => build.name === name);
    await expect.poll(() => find("second")).toBeTruthy();
    expect(await find("first")).toMatchObject({ state: "waiting", requests: [id], waitsFor: { kind: "slot" } });
    expect(await find("second")).toMatchObject({ waitsFor: { kind: "dependencies", names: ["first"], count: 1 } });
    expect((await find("blocker"))?.waitsFor).toBe(undefined);
    await blocker.cancel();
    expect(await service.attach(id)).toMatchObject([{ status: "built" }]);
  });

  test("what a build that runs has taken so far is told, of all its processes", async () => {
    const blocker = await startBlocker("sh -c 'while :; do :; done' & wait");
    const find = async () => (await service.queryActivity()).builds[0];
    await expect.poll(async () => (await find())?.cpuMicroseconds ?? 0, { timeout: 30_000 }).toBeGreaterThan(100_000);
    expect((await find())?.memoryBytes).toBeGreaterThan(100_000);
    await blocker.cancel();
  });
});
