/** What is told of what runs and what waits. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Service } from "../../daemon/api/service.ts";
import { missingBusybox } from "../support/busybox.ts";
import { LocalBuilds, options } from "../support/local-builds.ts";
import { implementations, type Peer, start } from "../support/request-peers.ts";
import { TestDaemon } from "../support/test-daemon.ts";

const endless = "echo endless; while :; do :; done";

describe.skipIf(missingBusybox).each(implementations)("activity of %s", (_, open) => {
  let daemon: TestDaemon;
  let peer: Peer;
  let service: Service;
  let builds: LocalBuilds;
  /** One job at a time, so that a build that does not end keeps all others waiting. */
  beforeEach(async () => {
    daemon = await TestDaemon.start({ maxJobs: 1, trust: { allowedUids: "all", trustedUids: new Set() } });
    peer = await open(daemon);
    service = peer.service;
    builds = await LocalBuilds.over(service, daemon.root);
  });
  afterEach(async () => {
    await service[Symbol.asyncDispose]();
    await daemon[Symbol.asyncDispose]();
  });

  /** A build of another client's that runs until it is ended. */
  async function startBlocker(script = endless, name = "blocker") {
    const derived = await builds.derive({ name, script });
    const blocking = await open(daemon);
    return { derived, ...blocking, ...(await start(blocking, derived)) };
  }

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
