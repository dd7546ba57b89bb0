import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { BuildEvent } from "../../../../daemon/api/events.ts";
import { missingBusybox } from "../../../support/busybox.ts";
import { type Derived, LocalBuilds } from "../../../support/local-builds.ts";

let builds: LocalBuilds;

describe.skipIf(missingBusybox)("the scheduler (needs a static busybox (busybox-static))", () => {
  beforeAll(async () => {
    builds = await LocalBuilds.open({ maxJobs: 2 });
  });
  afterAll(() => builds?.[Symbol.asyncDispose]());

  const startsOf = (events: readonly BuildEvent[]) =>
    events.flatMap((event) => (event.kind === "build-started" ? [event.name] : []));
  const endsOf = (events: readonly BuildEvent[]) =>
    Object.fromEntries(
      events.flatMap((event) => (event.kind === "build-finished" ? [[event.name, event.result.status]] : [])),
    );
  const logOf = (events: readonly BuildEvent[], name: string) =>
    Buffer.concat(
      events.flatMap((event) => (event.kind === "build-log" && event.name === name ? [event.bytes] : [])),
    ).toString();

  /** A derivation that reads the outputs of its inputs and writes them, and its own name, to its output. */
  const node = (name: string, inputs: readonly Derived[] = [], script = "") =>
    builds.derive({
      name,
      inputs,
      variables: Object.fromEntries(inputs.map((input, index) => [`input${index}`, input.out()])),
      script: `${script}\ncat ${inputs.map((_, index) => `$input${index}`).join(" ")} /dev/null > $out; echo ${name} >> $out`,
    });

  test("a graph is built in order, each derivation once, and the plan comes first", async () => {
    const a = await node("a");
    const b = await node("b", [a]);
    const c = await node("c", [a]);
    const d = await node("d", [b, c]);
    const { result, events } = await builds.buildAll([d.target]);
    expect(await builds.read(result.outputs.out)).toBe("a\nb\na\nc\nd\n");
    expect(events[0]).toMatchObject({ kind: "plan", alreadyValid: 0 });
    const plan = events[0]?.kind === "plan" ? events[0].toBuild.map(({ name }) => name) : [];
    expect(plan).toEqual(["a", "b", "c", "d"]);
    expect(startsOf(events).sort()).toEqual(["a", "b", "c", "d"]);
    expect(endsOf(events)).toEqual({ a: "built", b: "built", c: "built", d: "built" });
    const position = (kind: BuildEvent["kind"], name: string) =>
      events.findIndex((event) => event.kind === kind && "name" in event && event.name === name);
    for (const [before, after] of [
      ["a", "b"],
      ["a", "c"],
      ["b", "d"],
      ["c", "d"],
    ] as const)
      expect(position("build-finished", before)).toBeLessThan(position("build-started", after));
  });

  test("only what is not there is planned", async () => {
    const low = await node("there");
    await builds.buildAll([low.target]);
    const high = await node("not-there", [low]);
    const { events } = await builds.buildAll([high.target, low.target]);
    expect(events[0]).toEqual({
      kind: "plan",
      toBuild: [{ drvPath: high.drvPath, name: "not-there" }],
      alreadyValid: 1,
    });
  });

  test("what several ask for at once is built once, and all get all of it", async () => {
    const shared = await node("shared", [], "echo said");
    const tops = await Promise.all(["one", "two", "three"].map((name) => node(name, [shared])));
    const all = await Promise.all([...tops, shared].map((top) => builds.buildAll([top.target])));
    for (const { result, events } of all) {
      expect(result.status).toBe("built");
      expect(logOf(events, "shared")).toBe("said\n");
      expect(endsOf(events).shared).toBe("built");
    }
    const records = await builds.service.queryBuildRecords({ text: shared.drvPath, limit: 10 });
    expect(records).toHaveLength(1);
  });

  test.each([
    ["short", 10],
    ["long", 200_000],
  ])("who comes late to a build gets its %s log from the beginning", async (kind, lines) => {
    // 1.3 MB is more than is kept in memory: what came before is read from the file. The second comes while it sleeps.
    const derived = await node(`late-${kind}`, [], `seq ${lines}; echo waiting; sleep 1`);
    const told = (events: BuildEvent[], onWaiting?: () => void) => (event: BuildEvent) => {
      events.push(event);
      if (event.kind === "build-log" && Buffer.from(event.bytes).includes("waiting\n")) onWaiting?.();
    };
    const late: BuildEvent[] = [];
    let second: Promise<unknown> | undefined;
    const first = await builds.buildAll([derived.target], {
      onEvent: told([], () => {
        second ??= builds.buildAll([derived.target], { onEvent: told(late) });
      }),
    });
    await second;
    const expected = `${Array.from({ length: lines }, (_, index) => `${index + 1}\n`).join("")}waiting\n`;
    expect(first.result.status).toBe("built");
    expect(late.map(({ kind: event }) => event).slice(0, 2)).toEqual(["plan", "build-started"]);
    expect(logOf(late, derived.derivation.name)).toBe(expected);
    expect(late.at(-1)).toMatchObject({ kind: "build-finished", result: { status: "built" } });
  });

  test("what needs a failed build is not built, and says which one it was", async () => {
    const bad = await node("bad", [], "exit 7");
    const middle = await node("middle", [bad]);
    const top = await node("top", [middle]);
    const { result, events } = await builds.buildAll([top.target]);
    expect(result).toMatchObject({
      status: "dependency-failed",
      error: { code: "BUILD_DEPENDENCY_FAILED", details: { causeName: "bad", causeCode: "BUILD_FAILED_EXIT" } },
    });
    expect(endsOf(events)).toEqual({ bad: "failed", middle: "dependency-failed", top: "dependency-failed" });
    expect(startsOf(events)).toEqual(["bad"]);
  });

  test("without keep-going the first failure ends the request; with it all that can be built is", async () => {
    const make = async (name: string) => {
      const bad = await node(`bad-${name}`, [], "exit 1");
      const slow = await node(`slow-${name}`, [], "sleep 2");
      const after = await node(`after-${name}`, [slow]);
      return [bad.target, after.target];
    };
    const stopped = await builds.buildAll(await make("stop"));
    expect(stopped.results.map(({ status }) => status)).toEqual(["failed", "cancelled"]);
    expect(endsOf(stopped.events)).toEqual({
      "bad-stop": "failed",
      "slow-stop": "cancelled",
      "after-stop": "cancelled",
    });
    const kept = await builds.buildAll(await make("keep"), { keepGoing: true });
    expect(kept.results.map(({ status }) => status)).toEqual(["failed", "built"]);
  });

  test("a failure of one request leaves what another one wants alone", async () => {
    const shared = await node("wanted-by-two", [], "sleep 2");
    const bad = await node("bad-for-one", [], "exit 1");
    const [failing, other] = await Promise.all([
      builds.buildAll([shared.target, bad.target]),
      builds.buildAll([shared.target]),
    ]);
    expect(failing.results.map(({ status }) => status)).toEqual(["cancelled", "failed"]);
    expect(other.result.status).toBe("built");
  });

  test("a build is cancelled when the last one that wants it is gone, not before", async () => {
    const derived = await node("wanted", [], "echo started; sleep 1");
    const first = new AbortController();
    const both = Promise.all([
      builds.buildAll([derived.target], { signal: first.signal }).catch((error: unknown) => error),
      builds.buildAll([derived.target], { onEvent: (event) => event.kind === "build-log" && first.abort() }),
    ]);
    const [gone, stayed] = await both;
    expect(gone).toMatchObject({ name: "AbortError" });
    expect(stayed.result.status).toBe("built");

    const endless = await node("unwanted", [], "echo started; sleep 1000");
    const last = new AbortController();
    const cancelled = builds.buildAll([endless.target], {
      signal: last.signal,
      onEvent: (event) => event.kind === "build-log" && last.abort(),
    });
    await expect(cancelled).rejects.toMatchObject({ name: "AbortError" });
    expect(await builds.service.status()).toMatchObject({ runningBuilds: 0, waitingBuilds: 0 });
    const [record] = await builds.service.queryBuildRecords({ text: endless.drvPath, limit: 1 });
    expect(record?.status).toBe("cancelled");
  });

  test("a cancelled build can be asked for again at once", async () => {
    const derived = await node("again", [], "echo started; sleep 0.5");
    const abort = new AbortController();
    let second: Promise<{ result: { status: string } }> | undefined;
    const first = builds.buildAll([derived.target], {
      signal: abort.signal,
      onEvent: (event) => {
        if (event.kind !== "build-log") return;
        abort.abort();
        second = builds.buildAll([derived.target]);
      },
    });
    await expect(first).rejects.toMatchObject({ name: "AbortError" });
    expect((await second)?.result.status).toBe("built");
  });

  test("a listener that throws fails its own request, and nobody else's", async () => {
    const derived = await node("listened", [], "echo started; sleep 0.3");
    const [bad, good] = await Promise.allSettled([
      builds.buildAll([derived.target], {
        onEvent: () => {
          throw new Error("the client is gone");
        },
      }),
      builds.buildAll([derived.target]),
    ]);
    expect(bad).toMatchObject({ status: "rejected", reason: { message: "the client is gone" } });
    expect(good).toMatchObject({ status: "fulfilled", value: { result: { status: "built" } } });
  });

  /** By what the builders say: a build whose jail is over may still be committed while the next one starts. */
  test("no more builders run at once than there are slots", async () => {
    const script = "echo begin; sleep 0.1; echo end";
    const nodes = await Promise.all(Array.from({ length: 6 }, (_, index) => node(`slot-${index}`, [], script)));
    let running = 0;
    let most = 0;
    await builds.buildAll(
      nodes.map(({ target }) => target),
      {
        onEvent: (event) => {
          if (event.kind !== "build-log") return;
          for (const word of Buffer.from(event.bytes).toString().split("\n")) {
            if (word === "begin") most = Math.max(most, ++running);
            if (word === "end") running -= 1;
          }
        },
      },
    );
    expect(most).toBe(2);
  });

  test("one broken target does not keep the others from being built", async () => {
    const good = await node("good");
    const missing = { ...good.target, drvPath: `${"0".repeat(32)}-missing.drv` as typeof good.drvPath };
    const { results } = await builds.buildAll([missing, good.target]);
    expect(results[0]).toMatchObject({ status: "failed", error: { code: "STORE_PATH_NOT_VALID" } });
    expect(results[1]?.status).toBe("built");
  });

  test("what was built stays while the client is there, though nothing else keeps it", async () => {
    const derived = await node("leased");
    const { result } = await builds.buildAll([derived.target]);
    await builds.service.collectGarbage({ dryRun: false });
    expect(await builds.service.queryValidPaths(Object.values(result.outputs))).toHaveLength(1);
  });
});

test.skipIf(missingBusybox)(
  "a stopping daemon takes no new work, and ends what runs after a time (needs a static busybox (busybox-static))",
  async () => {
    await using own = await LocalBuilds.open({ maxJobs: 1 });
    const slow = await own.derive({ name: "slow", script: "echo started; sleep 1000" });
    const waiting = await own.derive({ name: "waiting", script: "echo 1 > $out" });
    let refused: Promise<unknown> | undefined;
    const { results } = await own.buildAll([slow.target, waiting.target], {
      keepGoing: true,
      onEvent: (event) => {
        if (event.kind !== "build-log") return;
        void own.service.shutdown({ drainMs: 100 });
        refused = own.buildAll([waiting.target]).catch((error: unknown) => error);
      },
    });
    expect(results.map(({ status }) => status)).toEqual(["cancelled", "cancelled"]);
    expect(await refused).toMatchObject({ code: "BUILD_DAEMON_STOPPING" });
  },
);
