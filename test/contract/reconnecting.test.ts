/** A client whose daemon goes away, with real daemons that are killed. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { watchBuild } from "../../daemon/client/watch-build.ts";
import type { Client, StorePath } from "../../daemon/library.ts";
import { missingBusybox } from "../support/busybox.ts";
import { missingJails } from "../support/command-line.ts";
import { LocalBuilds } from "../support/local-builds.ts";
import { isRunning, OwnStore } from "../support/own-store.ts";

describe.skipIf(missingJails !== "")(`a daemon that goes away${missingJails && `: ${missingJails}`}`, () => {
  let store: OwnStore;
  let client: Client;
  let reconnections: number;
  beforeEach(async () => {
    reconnections = 0;
    store = new OwnStore();
    client = await store.connect({ onReconnected: () => (reconnections += 1) });
  });
  afterEach(async () => {
    await client[Symbol.asyncDispose]();
    await store[Symbol.asyncDispose]();
  });

  async function killDaemon(): Promise<void> {
    const { pid } = await client.status();
    const { closed } = client;
    process.kill(pid, "SIGKILL");
    await closed;
    while (isRunning(pid)) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const addText = (name: string): Promise<StorePath> => client.addText(name, Buffer.from(name), []);

  test("the next request finds another one, and many at once find one", async () => {
    const { pid } = await client.status();
    await killDaemon();
    const pids = await Promise.all([1, 2, 3].map(async () => (await client.status()).pid));
    expect(new Set(pids).size).toBe(1);
    expect(pids[0]).not.toBe(pid);
    expect(reconnections).toBe(1);
  });

  test("what waits for an answer is asked again if that changes nothing", async () => {
    const { pid } = await client.status();
    process.kill(pid, "SIGSTOP"); // it takes the request, and never answers
    const answer = client.status();
    process.kill(pid, "SIGKILL");
    expect((await answer).pid).not.toBe(pid);
  });

  test("a build is not: DAEMON_GONE, and the client goes on", async ({ skip }) => {
    skip(missingBusybox, "needs a static busybox (busybox-static)");
    const { target } = await (await LocalBuilds.over(client, store.root)).derive({ script: "sleep 100; mkdir $out" });
    await using run = watchBuild(client, [target]);
    for await (const event of run.events) if (event.kind === "build-started") break;
    const gone = expect(run.results).rejects.toMatchObject({ code: "DAEMON_GONE" });
    await killDaemon();
    await gone;
    expect(await client.queryBuildRecords({ limit: 10 })).toMatchObject([{ status: "failed" }]);
  });

  test("what the client holds it holds again", async () => {
    const held = await addText("held");
    await killDaemon();
    await client.status();
    await using other = await store.connect();
    expect((await other.collectGarbage({ dryRun: false })).deleted).not.toContain(held);
    expect(await client.queryPathInfo(held)).not.toBe(undefined);
  });

  test("what was collected in between is named once, in place of an answer", async () => {
    const lost = await addText("lost");
    await killDaemon();
    await using other = await store.connect();
    expect((await other.collectGarbage({ dryRun: false })).deleted).toContain(lost);
    await expect(client.status()).rejects.toMatchObject({
      code: "CLIENT_LEASES_LOST",
      details: { count: 1, paths: [lost] },
    });
    expect((await client.status()).validPaths).toBe(0);
  });

  test("reconnect: false ends with the first daemon", async () => {
    await using once = await store.connect({ reconnect: false });
    await killDaemon();
    await once.closed;
    await expect(once.status()).rejects.toMatchObject({ code: "DAEMON_GONE" });
    await client.status(); // another daemon removes what the killed one left and we may not
  });

  test("who ended the daemon does not start another one", async () => {
    await client.shutdown({ drainMs: 0 });
    await client.closed;
    await expect(client.status()).rejects.toMatchObject({ code: "DAEMON_GONE" });
    await expect(store.connect({ start: false })).rejects.toMatchObject({ code: "DAEMON_NOT_FOUND" });
  });

  test("a signal ends the wait for another daemon", async () => {
    await killDaemon();
    await expect(client.status({ signal: AbortSignal.abort(new Error("enough")) })).rejects.toThrow("enough");
    await client.status();
  });
});
