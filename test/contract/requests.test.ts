/** Requests and their clients: who may see, leave and end what, and what goes on without whom. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { BuildEvent } from "../../daemon/api/events.ts";
import type { OnDisconnect } from "../../daemon/api/requests.ts";
import type { Service } from "../../daemon/api/service.ts";
import type { BuildResult } from "../../derivations/build-result.ts";
import { missingBusybox } from "../support/busybox.ts";
import { type Derived, type LocalBuilds, options } from "../support/local-builds.ts";
import {
  endless,
  implementations,
  kinds,
  logOf,
  type Peer,
  type RequestDaemon,
  runningRecord,
  self,
  start,
  startRequestDaemon,
  watch,
} from "../support/request-peers.ts";
import type { TestDaemon } from "../support/test-daemon.ts";

/** Another user. */
const stranger = { ...self, uid: 54_321 };

describe.skipIf(missingBusybox).each(implementations)("requests of %s", (_, open) => {
  let here: Awaited<ReturnType<typeof startRequestDaemon>>;
  let daemon: TestDaemon;
  let peer: Peer;
  let service: Service;
  let builds: LocalBuilds;
  let startBlocker: RequestDaemon["startBlocker"];
  beforeEach(async () => {
    here = await startRequestDaemon(open);
    ({ daemon, peer, service, builds, startBlocker } = here);
  });
  afterEach(() => here[Symbol.asyncDispose]());

  const nothingRuns = () =>
    expect.poll(async () => (await service.queryActivity()).builds, { timeout: 20_000 }).toEqual([]);

  describe("detached", () => {
    test("it answers at once; who attaches sees all of it, and so does who comes after its end", async () => {
      const derived = await builds.derive({ name: "hello", script: "echo one; echo two; echo made > $out" });
      const id = await service.submit([derived.target], options);
      expect(id).toMatch(/^r-[0-9a-z]{12}$/);
      const first = await watch(service, id);
      expect(kinds(first.events)).toEqual(["plan", "build-started", "build-log", "build-finished"]);
      expect(logOf(first.events)).toBe("one\ntwo\n");
      expect(first.results).toMatchObject([{ status: "built", drvPath: derived.drvPath }]);

      const late = await watch(service, id);
      expect(late.results).toEqual(first.results);
      expect(kinds(late.events)).toEqual(kinds(first.events));
      expect(logOf(late.events)).toBe("one\ntwo\n");
      expect(late.events[0]).toMatchObject({ kind: "plan", requestId: id });
    });

    test("it waits for its turn without its client, and its result is held until its time is over", async () => {
      const blocker = await startBlocker();
      const derived = await builds.derive({ name: "later", script: "echo made > $out" });
      const id = await service.submit([derived.target], options);
      await peer.vanish();
      const other = (await open(daemon)).service;
      const [mine] = (await other.queryActivity()).requests.filter((request) => request.id === id);
      expect(mine).toMatchObject({ uid: self.uid, detached: true, clients: 0, total: 1, done: 0 });
      await blocker.cancel();
      const { results } = await watch(other, id);
      const [{ outputs }] = results as [BuildResult];
      const gone = await open(daemon);
      await other[Symbol.asyncDispose]();
      const { deleted } = await gone.service.collectGarbage({ dryRun: false });
      expect(deleted).not.toContain(outputs["out"]);
      expect(await gone.service.queryValidPaths([outputs["out"] as never])).toEqual([outputs["out"]]);
      await gone.vanish();
    });

    test("a failure is its result, with the last lines of its log", async () => {
      const { target } = await builds.derive({ name: "failing", script: "echo the reason; exit 3" });
      const { results, events } = await watch(service, await service.submit([target], options));
      expect(results).toMatchObject([{ status: "failed", error: { code: "BUILD_FAILED_EXIT" } }]);
      expect(events.at(-1)).toMatchObject({ kind: "build-finished", lastLogLines: [Buffer.from("the reason")] });
    });

    test("leaving an attachment only ends the watching", async () => {
      const { target } = await builds.derive({ name: "watched", script: endless });
      const id = await service.submit([target], options);
      const stop = new AbortController();
      const onEvent = (event: BuildEvent) => {
        if (event.kind === "build-log") stop.abort(new Error("seen enough"));
      };
      await expect(service.attach(id, { signal: stop.signal, onEvent })).rejects.toThrow("seen enough");
      expect((await service.queryActivity()).builds).toMatchObject([{ name: "watched", state: "running" }]);
      expect((await service.cancel(id)).builds).toMatchObject([{ name: "watched", goesOn: false, wantedBy: [] }]);
      expect(await service.attach(id)).toMatchObject([{ status: "cancelled", error: { code: "BUILD_CANCELLED" } }]);
      await nothingRuns();
    });

    test("a log of many megabytes comes whole, also to who takes it slowly", async () => {
      const bytes = 12_000_000;
      const script = `i=0; line=$(printf '%0119d' 0); while [ $i -lt 100 ]; do i=$((i+1)); yes "$line" | head -n ${bytes / 100 / 120}; done; echo > $out`;
      const { target } = await builds.derive({ name: "wordy", script });
      const id = await service.submit([target], options);
      let size = 0;
      await service.attach(id, {
        onEvent: async (event) => {
          if (event.kind !== "build-log") return;
          size += event.bytes.length;
          await new Promise((resolve) => setImmediate(resolve));
        },
      });
      expect(size).toBe(bytes);
    });
  });

  describe("what the client said about its going away", () => {
    const build = async (derived: Derived, onDisconnect: OnDisconnect | undefined) => {
      const from = await open(daemon);
      return { ...from, ...(await start(from, derived, onDisconnect)) };
    };

    test.each([undefined, "cancel"] as const)("%s: it ends with its client", async (policy) => {
      const one = await build(await builds.derive({ name: "endless", script: endless }), policy);
      await one.vanish();
      await one.ended;
      await nothingRuns();
    });

    test("keep: it goes on, and can be attached to", async () => {
      const blocker = await startBlocker();
      const derived = await builds.derive({ name: "kept", script: "echo kept; echo made > $out" });
      const one = await build(derived, "keep");
      await one.vanish();
      const gone = peer.signal === undefined ? "DAEMON_GONE" : "CLIENT_GONE"; // as each side sees it
      expect(await one.ended).toMatchObject({ status: "rejected", reason: { code: gone } });
      await expect
        .poll(async () => (await service.queryActivity()).requests)
        .toContainEqual(expect.objectContaining({ id: one.id, detached: true, clients: 0 }));
      await blocker.cancel();
      const { results, events } = await watch(service, one.id);
      expect(results).toMatchObject([{ status: "built" }]);
      expect(logOf(events)).toBe("kept\n");
    });

    test("keep: with its client there it is as any other, and cancelled by it", async () => {
      const { target } = await builds.derive({ name: "quick", script: "echo made > $out" });
      expect(await service.build([target], { ...options, onDisconnect: "keep" })).toMatchObject([{ status: "built" }]);
      const one = await build(await builds.derive({ name: "endless", script: endless }), "keep");
      await one.cancel();
      await nothingRuns();
      const attached = () => service.attach(one.id).catch((error: { code: string }) => error.code);
      await expect.poll(attached).toBe("REQUEST_UNKNOWN");
    });

    test("keep-if-shared: alone it ends with its client", async () => {
      const one = await build(await builds.derive({ name: "endless", script: endless }), "keep-if-shared");
      await one.vanish();
      await one.ended;
      await nothingRuns();
    });

    test("keep-if-shared: it goes on while others want its builds, and ends with the last of them", async () => {
      const derived = await builds.derive({ name: "shared", script: endless });
      const one = await build(derived, "keep-if-shared");
      const second = await build(derived, "keep-if-shared");
      const third = await build(derived, "cancel");
      await one.vanish();
      await second.vanish();
      await expect
        .poll(async () => (await service.queryActivity()).requests.map(({ clients }) => clients).sort())
        .toEqual([0, 0, 1]);
      await third.vanish();
      await nothingRuns();
    });
  });

  describe("cancel", () => {
    test("a request of one's own: what nobody else wants ends, what others want runs on, and the answer says so", async () => {
      const shared = await builds.derive({ name: "shared", script: endless });
      const blocker = await startBlocker(endless, "shared");
      const { target } = await builds.derive({
        name: "needs",
        script: "cat $in > $out",
        inputs: [shared],
        variables: { in: shared.out() },
      });
      const id = await service.submit([target], options);
      await expect.poll(async () => (await service.queryActivity()).requests.length).toBe(2);
      const result = await service.cancel(id);
      const other = (await service.queryActivity()).requests.find((request) => request.id !== id);
      expect(result).toMatchObject({
        kind: "request",
        dropped: 1,
        builds: [{ name: "shared", goesOn: true, wantedBy: [{ id: other?.id, uid: self.uid }] }],
      });
      expect((await watch(service, id)).results).toMatchObject([{ status: "cancelled" }]);
      expect((await service.queryActivity()).builds).toMatchObject([{ name: "shared", state: "running" }]);
      await blocker.cancel();
      await nothingRuns();
      expect(await service.cancel(id)).toEqual({ kind: "request", builds: [], dropped: 0 }); // it has ended already
    });

    test("one build of many: a request that keeps going goes on with the rest", async () => {
      const bad = await builds.derive({ name: "bad", script: endless });
      const good = await builds.derive({ name: "good", script: "echo good > $out" });
      const id = await service.submit([bad.target, good.target], { ...options, keepGoing: true });
      const recordId = await runningRecord(service, "bad");
      expect(await service.cancel(recordId)).toMatchObject({
        kind: "build",
        builds: [{ name: "bad", recordId, goesOn: false, wantedBy: [{ id }] }],
      });
      const { results } = await watch(service, id);
      expect(results).toMatchObject([{ status: "cancelled" }, { status: "built" }]);
    });

    test("a build that a stranger wants, too, runs on for the stranger", async () => {
      const derived = await builds.derive({ name: "shared", script: endless });
      const theirs = daemon.service.forCaller(stranger, "stranger");
      const theirId = await theirs.submit([derived.target], options);
      const recordId = await runningRecord(service, "shared");
      const refused = { code: "REQUEST_NOT_YOURS", details: { uid: self.uid, owner: stranger.uid } };
      await expect(service.cancel(recordId)).rejects.toMatchObject(refused);
      await expect(service.cancel(theirId)).rejects.toMatchObject(refused);
      await expect(service.attach(theirId)).rejects.toMatchObject(refused);

      const id = await service.submit([derived.target], options);
      await expect.poll(async () => (await service.queryActivity()).requests.length).toBe(2);
      expect(await service.cancel(recordId)).toMatchObject({
        builds: [{ goesOn: true, wantedBy: [{ id: theirId, uid: stranger.uid }] }],
      });
      expect(await service.attach(id)).toMatchObject([{ status: "cancelled" }]);
      expect((await service.queryActivity()).builds).toMatchObject([{ state: "running", requests: [theirId] }]);
      const trusted = daemon.service.forCaller({ ...self, trusted: true }, "trusted");
      await trusted.cancel(theirId);
      expect(await trusted.attach(theirId)).toMatchObject([{ status: "cancelled" }]);
      await theirs[Symbol.asyncDispose]();
      await trusted[Symbol.asyncDispose]();
    });

    test("what there is not, and what belongs to its client alone", async () => {
      for (const asked of [service.cancel("r-000000000000"), service.attach("r-000000000000")])
        await expect(asked).rejects.toMatchObject({ code: "REQUEST_UNKNOWN", details: { id: "r-000000000000" } });
      await startBlocker();
      const [request] = (await service.queryActivity()).requests;
      await expect(service.attach(request?.id ?? "")).rejects.toMatchObject({ code: "REQUEST_NOT_DETACHED" });
      expect(await service.cancel(request?.id ?? "")).toMatchObject({ kind: "request" });
    });
  });

  test("requests for the same build share it, and each sees its whole log", async () => {
    const blocker = await startBlocker();
    const derived = await builds.derive({ name: "shared", script: "echo one; echo two; echo made > $out" });
    const ids = [await service.submit([derived.target], options), await service.submit([derived.target], options)];
    const asking = builds.buildAll([derived.target]);
    await blocker.cancel();
    const watched = [...(await Promise.all(ids.map((id) => watch(service, id)))), await asking];
    expect(new Set(watched.map(({ results }) => results[0]?.recordId)).size).toBe(1);
    for (const { events } of watched) expect(logOf(events)).toBe("one\ntwo\n");
    expect(await service.queryBuildRecords({ text: "shared", limit: 10 })).toHaveLength(1);
  });

  test("who asks for a build late sees its log from the beginning, however long it is", async () => {
    const bytes = 12_000_000;
    const script = `yes "$(printf '%0119d' 0)" | head -n ${bytes / 120}; while :; do :; done`;
    const blocker = await startBlocker(script, "wordy");
    const [{ recordId = "" } = {}] = (await service.queryActivity()).builds;
    let written = 0;
    for await (const piece of service.readLog(recordId, { follow: true })) {
      written += piece.length;
      if (written === bytes) break;
    }
    const stop = new AbortController();
    let size = 0;
    const onEvent = async (event: BuildEvent) => {
      if (event.kind !== "build-log") return;
      size += event.bytes.length;
      if (size >= bytes) stop.abort(new Error("seen"));
      await new Promise((resolve) => setImmediate(resolve));
    };
    const { target } = blocker.derived;
    await expect(service.build([target], { ...options, onEvent, signal: stop.signal })).rejects.toThrow("seen");
    expect(size).toBe(bytes);
    await blocker.cancel();
  });

  test("one user may not keep more than 100 requests without a client", async () => {
    await startBlocker();
    const { target } = await builds.derive({ name: "waiting", script: "echo > $out" });
    for (let count = 0; count < 100; count += 1) await service.submit([target], options);
    await expect(service.submit([target], options)).rejects.toMatchObject({ code: "REQUESTS_TOO_MANY" });
    const theirs = daemon.service.forCaller(stranger, "stranger");
    const id = await theirs.submit([target], options);
    expect((await theirs.cancel(id)).builds).toMatchObject([{ name: "waiting", goesOn: true }]);
    await theirs[Symbol.asyncDispose]();
  });
});
