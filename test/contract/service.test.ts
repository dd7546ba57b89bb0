import { readdirSync, readlinkSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { BuildEvent } from "../../daemon/api/events.ts";
import type { Service } from "../../daemon/api/service.ts";
import { type ContentAddress, makeTextPath, printContentAddress } from "../../derivations/content-address.ts";
import { printHash, type Sha256, sha256 } from "../../derivations/hash.ts";
import { parseStorePath, type StorePath } from "../../derivations/store-path.ts";
import { collectBytes } from "../support/collect.ts";
import { LocalBuilds, options } from "../support/local-builds.ts";
import { directoryNar, fileNar, inPieces, storeDirectory } from "../support/temporary-store.ts";
import { TestDaemon } from "../support/test-daemon.ts";

/** Both are one interface: what holds of the service in this process holds of a daemon's behind its socket. */
const implementations: readonly [string, (daemon: TestDaemon) => Promise<Service>][] = [
  ["the service in this process", async ({ service }) => service.forCaller(self, "contract test")],
  ["a client of a daemon", (daemon) => daemon.connect()],
];

const self = { uid: process.getuid?.() ?? 0, gid: 0, pid: process.pid, trusted: true };
const absent = parseStorePath(`${"0".repeat(32)}-absent`);
const source = { kind: "source", references: [] } as const;

/** With hashes as text: a Buffer and a Uint8Array of the same bytes are not equal to vitest. */
function shown<Info extends { readonly narHash: Sha256; readonly contentAddress?: ContentAddress }>(
  info: Info | undefined,
): object {
  if (info === undefined) throw new Error("there is no such path");
  const { narHash, contentAddress } = info;
  const address = contentAddress === undefined ? {} : { contentAddress: printContentAddress(contentAddress) };
  return { ...info, narHash: printHash(narHash, "sri"), ...address };
}

describe.each(implementations)("%s", (_, open) => {
  let daemon: TestDaemon;
  let service: Service;
  let builds: LocalBuilds;
  beforeAll(async () => {
    daemon = await TestDaemon.start();
    service = await open(daemon);
    builds = await LocalBuilds.over(service, daemon.root);
  });
  afterAll(async () => {
    await service[Symbol.asyncDispose]();
    await daemon[Symbol.asyncDispose]();
  });

  describe("what is there", () => {
    test("status", async () => {
      const status = await service.status();
      expect(status).toMatchObject({ storeDirectory, pid: process.pid, runningBuilds: 0, maxJobs: 2 });
      expect(status.realStoreDirectory).toBe(join(daemon.root, "cloister/store"));
    });

    test("metrics count what was built, and what the store holds", async () => {
      const valueOf = (text: string, name: string) => Number(text.split(`\n${name} `)[1]?.split("\n")[0]);
      const before = await service.readMetrics();
      const { result } = await builds.build({ name: "measured", script: "echo said; echo > $out" });
      const failed = await builds.build({ name: "fails", script: "exit 1" });
      expect([result.status, failed.result.status]).toEqual(["built", "failed"]);
      const after = await service.readMetrics();
      const grown = (name: string) => valueOf(after, name) - valueOf(before, name);
      expect(grown('cloister_builds_total{result="built"}')).toBe(1);
      expect(grown('cloister_builds_total{result="failed"}')).toBe(1);
      for (const name of ["waiting", "jail", "builder"]) expect(grown(`cloister_build_${name}_seconds_count`)).toBe(2);
      expect(grown("cloister_build_seal_seconds_count")).toBe(1);
      expect(grown('cloister_build_seal_seconds_bucket{le="+Inf"}')).toBe(1);
      expect(grown("cloister_store_paths")).toBe(3); // two derivations, one output
      expect(grown("cloister_store_nar_bytes")).toBeGreaterThan(0);
      expect(valueOf(after, "cloister_database_bytes")).toBeGreaterThan(0);
      expect(valueOf(after, "cloister_store_paths")).toBe((await service.status()).validPaths);
      expect(valueOf(after, "cloister_event_loop_delay_seconds_count")).toBeGreaterThan(0);
      for (const line of after.trim().split("\n"))
        expect(line).toMatch(/^(?:|# (?:HELP|TYPE) \w+ .+|\w+(?:\{\w+="[^"]*"\})? [-+.\de]+)$/);
    });

    test("no settings, and nothing to read again, where a program and no configuration said how it is", async () => {
      expect(await service.querySettings()).toEqual([]);
      expect(await service.reload()).toEqual({ applied: [], needRestart: [] });
    });

    test("a path that is not valid", async () => {
      expect(await service.queryPathInfo(absent)).toBe(undefined);
      expect(await service.queryPathDetails(absent)).toBe(undefined);
      expect(await service.queryValidPaths([absent])).toEqual([]);
      expect(await service.findPathByHashPart("0".repeat(32))).toBe(undefined);
      const askings = [
        service.queryClosure([absent], "forward"),
        service.queryDerivationOutputs(absent),
        service.readListing(absent),
        collectBytes(service.readNar(absent)),
        collectBytes(service.readFile(absent, "")),
        service.addPermanentRoot("absent", absent),
      ];
      const refused = expect.objectContaining({
        status: "rejected",
        reason: expect.objectContaining({ code: "STORE_PATH_NOT_VALID" }),
      });
      expect(await Promise.allSettled<unknown>(askings)).toEqual(askings.map(() => refused));
    });

    test("references, referrers, closures and hash parts", async () => {
      const leaf = await service.addText("leaf", Buffer.from("leaf"), []);
      const middle = await service.addText("middle", Buffer.from("middle"), [leaf]);
      const top = await service.addText("top", Buffer.from("top"), [middle, leaf]);
      expect(await service.queryReferrers(leaf)).toEqual(expect.arrayContaining([middle, top]));
      expect(await service.queryClosure([top], "forward")).toEqual([leaf, middle, top]);
      expect(await service.queryClosure([leaf], "backward")).toEqual(expect.arrayContaining([leaf, middle, top]));
      expect(await service.queryValidPaths([absent, top, leaf])).toEqual([top, leaf]);
      expect(await service.findPathByHashPart(top.slice(0, 32))).toBe(top);
      const details = await service.queryPathDetails(top);
      expect(details).toMatchObject({
        closurePaths: 3,
        referrers: [],
        realPath: join(daemon.root, "cloister/store", top),
      });
      expect(details?.info.references).toEqual(new Set([middle, leaf]));
    });
  });

  describe("in and out", () => {
    test("any file comes out as it went in, however it is cut", async () => {
      await fc.assert(
        fc.asyncProperty(fc.string({ maxLength: 3000 }), fc.integer({ min: 1, max: 5000 }), async (contents, size) => {
          const nar = fileNar(contents);
          const info = await service.addSource("file", source, inPieces(nar, size));
          expect(info.narSize).toBe(BigInt(nar.length));
          expect(printHash(info.narHash, "sri")).toBe(printHash(sha256(nar), "sri"));
          expect(Buffer.compare(await collectBytes(service.readNar(info.path)), nar)).toBe(0);
          expect((await collectBytes(service.readFile(info.path, ""))).toString()).toBe(
            Buffer.from(contents).toString(),
          );
          expect(shown(await service.queryPathInfo(info.path))).toEqual(shown(info));
        }),
        { numRuns: 15 },
      );
    });

    test("a big archive goes both ways, through many windows", async () => {
      const nar = fileNar("0123456789abcdef".repeat(500_000));
      const { path } = await service.addSource("big", source, inPieces(nar, 100_000));
      expect(Buffer.compare(await collectBytes(service.readNar(path)), nar)).toBe(0);
    });

    test("a tree: its listing and its files", async () => {
      const { path } = await service.addSource("tree", source, inPieces(directoryNar({ "a.txt": "A", b: "" })));
      expect(await service.readListing(path)).toMatchObject({
        type: "directory",
        entries: { "a.txt": { type: "regular", size: 1 }, b: { type: "regular", size: 0 } },
      });
      expect((await collectBytes(service.readFile(path, "a.txt"))).toString()).toBe("A");
      for (const inside of ["c", "", "../x", "/etc/passwd"])
        await expect(collectBytes(service.readFile(path, inside))).rejects.toMatchObject({
          code: "STORE_FILE_NOT_FOUND",
        });
    });

    test("a stream that is not read to its end leaves the service usable", async () => {
      const { path } = await service.addSource("long", source, inPieces(fileNar("x".repeat(5_000_000)), 50_000));
      for await (const _ of service.readNar(path)) break;
      expect(await service.queryValidPaths([path])).toEqual([path]);
    });

    test("an archive with all that is known of it, and one that is another", async () => {
      const contents = Buffer.from("known before");
      const path = makeTextPath(storeDirectory, "known", contents, []);
      const nar = fileNar("known before");
      const info = {
        path,
        narHash: sha256(nar),
        narSize: BigInt(nar.length),
        references: new Set<StorePath>(),
        ultimate: false,
        signatures: ["key-1:AAAA"],
      };
      await expect(service.addNar(info, inPieces(fileNar("something else")))).rejects.toMatchObject({
        code: "STORE_NAR_HASH_MISMATCH",
      });
      expect(await service.queryPathInfo(path)).toBe(undefined);
      await service.addNar(info, inPieces(nar));
      expect(shown(await service.queryPathInfo(path))).toMatchObject(shown(info));
    });

    test.each([
      ["cut off", fileNar("some contents").subarray(0, 40), "NAR_TRUNCATED"],
      ["with more behind it", Buffer.concat([fileNar("a"), Buffer.alloc(8)]), "NAR_TRAILING_BYTES"],
    ])("an archive that is %s", async (_name, nar, code) => {
      await expect(service.addSource("bad", source, inPieces(nar))).rejects.toMatchObject({ code });
    });

    test("a source that fails is the caller's own error", async () => {
      async function* failing(): AsyncGenerator<Uint8Array> {
        yield fileNar("x").subarray(0, 16);
        throw new Error("the disk of the client is broken");
      }
      await expect(service.addSource("failing", source, failing())).rejects.toThrow("the disk of the client is broken");
      expect((await service.status()).pid).toBe(process.pid);
    });

    test("a name that cannot be", async () => {
      await expect(service.addText("..", Buffer.from(""), [])).rejects.toMatchObject({
        code: "STORE_PATH_NAME_INVALID",
      });
    });
  });

  describe("building", () => {
    test("a build: its events, result, record and log", async () => {
      const { result, events, drvPath } = await builds.build({ name: "hello", script: "echo hello; echo made > $out" });
      expect(result).toMatchObject({ status: "built", drvPath });
      expect(events.map(({ kind }) => kind)).toEqual(["plan", "build-started", "build-log", "build-finished"]);
      expect(await builds.read(result.outputs["out"])).toBe("made\n");
      expect(await service.queryDerivationOutputs(drvPath)).toEqual({ out: result.outputs["out"] });
      expect(await builds.log(result.recordId)).toBe("hello\n");
      const [record] = await service.queryBuildRecords({ text: "hello", limit: 1 });
      expect(record).toMatchObject({ id: result.recordId, status: "done", user: { uid: self.uid } });
      expect((await service.queryPathDetails(result.outputs["out"] as StorePath))?.record?.id).toBe(result.recordId);
    });

    test("a failure is a result with its code and the last lines", async () => {
      const { result, events } = await builds.build({ name: "failing", script: "echo the reason; exit 3" });
      expect(result).toMatchObject({ status: "failed", error: { code: "BUILD_FAILED_EXIT", details: { code: 3 } } });
      const finished = events.find(
        (event): event is BuildEvent & { kind: "build-finished" } => event.kind === "build-finished",
      );
      expect(finished?.lastLogLines.map((line) => Buffer.from(line).toString())).toEqual(["the reason"]);
    });

    test("a log is followed while its build runs", async () => {
      const derived = await builds.derive({
        name: "followed",
        script: "echo first; while [ ! -e /never ]; do :; done",
      });
      const stop = new AbortController();
      const started = Promise.withResolvers<string>();
      const onEvent = (event: BuildEvent) => {
        if (event.kind === "build-started") started.resolve(event.recordId);
      };
      const building = service.build([derived.target], { ...options, onEvent, signal: stop.signal });
      const ended = expect(building).rejects.toThrow("seen enough");
      let text = "";
      for await (const bytes of service.readLog(await started.promise, { follow: true })) {
        text += Buffer.from(bytes).toString();
        if (text === "first\n") stop.abort(new Error("seen enough"));
      }
      expect(text).toBe("first\n");
      await ended;
      await expect.poll(async () => (await service.status()).runningBuilds).toBe(0);
    });

    test("a log that nobody wrote", async () => {
      await expect(collectBytes(service.readLog("no-such-build"))).rejects.toMatchObject({
        code: "BUILD_RECORD_NOT_FOUND",
      });
    });
  });

  describe("keeping", () => {
    test("roots keep what they point to; the rest goes", async () => {
      const kept = await service.addText("kept", Buffer.from("kept"), []);
      const linked = await service.addText("linked", Buffer.from("linked"), []);
      await service.addPermanentRoot("keep", kept);
      const link = join(daemon.root, `result-${readdirSync(daemon.root).length}`);
      symlinkSync(join(daemon.root, "cloister/store", linked), link);
      await service.addIndirectRoot(link, linked);
      const roots = await service.listRoots();
      expect(roots).toEqual(
        expect.arrayContaining([
          expect.objectContaining({ kind: "permanent", path: kept }),
          expect.objectContaining({ kind: "indirect", from: link, path: linked, unreadable: false }),
          expect.objectContaining({ kind: "lease", path: kept }),
        ]),
      );
      expect(readlinkSync(link)).toContain(linked);

      await using other = await daemon.connect();
      const doomed = await other.addText("doomed", Buffer.from("doomed"), []);
      await other[Symbol.asyncDispose]();
      await expect.poll(async () => (await service.collectGarbage({ dryRun: true })).deleted).toContain(doomed);
      await expect(service.collectGarbage({ dryRun: false, paths: [kept] })).rejects.toMatchObject({
        code: "GC_PATH_ALIVE",
      });
      const { deleted } = await service.collectGarbage({ dryRun: false });
      expect(deleted).toContain(doomed);
      expect(await service.queryValidPaths([kept, linked, doomed])).toEqual([kept, linked]);

      await service.removeRoot(link);
      expect((await service.listRoots()).map(({ from }) => from)).not.toContain(link);
      await expect(service.removeRoot("nowhere")).rejects.toMatchObject({ code: "ROOT_NOT_FOUND" });
    });
  });

  test("a path that was collected and added again is the new one", async () => {
    const adding = await daemon.connect();
    const path = await adding.addText("again", Buffer.from("again"), []);
    const before = await service.queryPathInfo(path);
    await adding[Symbol.asyncDispose]();
    await expect.poll(async () => (await service.collectGarbage({ dryRun: false })).deleted).toContain(path);
    expect(await service.queryPathInfo(path)).toBe(undefined);
    const nar = fileNar("again");
    const info = { ...(before as NonNullable<typeof before>), signatures: ["key-1:AAAA"] };
    await service.addNar(info, inPieces(nar));
    expect((await service.queryPathInfo(path))?.signatures).toEqual(["key-1:AAAA"]);
  });

  describe("cancelling", () => {
    test("with a signal that is given already", async () => {
      const signal = AbortSignal.abort(new Error("never mind"));
      await expect(service.addSource("a", source, inPieces(fileNar("a")), { signal })).rejects.toThrow("never mind");
    });

    test("an upload that waits for its source", async () => {
      const stop = new AbortController();
      async function* waiting(): AsyncGenerator<Uint8Array> {
        yield fileNar("x").subarray(0, 16);
        setTimeout(() => stop.abort(new Error("enough")));
        await new Promise((resolve) => stop.signal.addEventListener("abort", resolve, { once: true }));
      }
      await expect(service.addSource("a", source, waiting(), { signal: stop.signal })).rejects.toThrow("enough");
      expect((await service.status()).pid).toBe(process.pid);
    });
  });
});
