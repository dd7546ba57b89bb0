import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Caller, Service } from "../../../../daemon/api/service.ts";
import { unpackArchive } from "../../../../daemon/cli/unpack-archive.ts";
import { type LocalService, openLocalService } from "../../../../daemon/server/local-service.ts";
import { missingBusybox } from "../../../support/busybox.ts";
import { collectBytes } from "../../../support/collect.ts";
import { LocalBuilds } from "../../../support/local-builds.ts";
import { makeRemovable } from "../../../support/temporary-store.ts";

/** What this machine grants, and what every machine does. */
const strengths = ["auto", "single"] as const;
const me: Caller = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, pid: process.pid, trusted: false };

let root: string;
let local: LocalService;
let builds: LocalBuilds;

describe.skipIf(missingBusybox).each(strengths)(
  "in strength %s (needs a static busybox (busybox-static))",
  (strength) => {
    beforeAll(async () => {
      root = mkdtempSync(join(tmpdir(), "cloister-keep-"));
      local = await openLocalService({ root, strength, maxJobs: 2 });
      builds = await LocalBuilds.over(local.forCaller(me, "me"), root);
    });
    afterAll(async () => {
      await local?.[Symbol.asyncDispose]();
      await makeRemovable(root);
      rmSync(root, { recursive: true, force: true });
    });

    const state = (name: string) => join(root, "cloister/var/cloister", name);

    async function unpackKept(service: Service, recordId: string | undefined): Promise<string> {
      const into = mkdtempSync(join(root, "unpacked-"));
      return await unpackArchive(service.readKeptBuild(recordId ?? ""), join(into, "x-"));
    }

    test("what a failed build left comes back as its owner's, closed files too, without what no archive holds", async () => {
      const script = [
        "echo 1 > plain; mkdir -p a/b; echo 2 > a/b/deep; ln -s /etc/passwd link; mkfifo pipe",
        "echo 3 > run; chmod 755 run; echo 4 > closed; chmod 0 closed; mkdir shut; echo 5 > shut/in; chmod 0 shut",
        "exit 7",
      ].join("\n");
      const { result } = await builds.build({ name: "fails", script }, { keepFailed: true });
      expect(result).toMatchObject({
        status: "failed",
        error: { code: "BUILD_FAILED_EXIT" },
        kept: { sizeBytes: expect.any(Number), leftOut: 1, leftOutNames: ["pipe"] },
      });
      const build = await unpackKept(builds.service, result.recordId);
      const read = (name: string) => readFileSync(join(build, name), "utf8");
      expect(["plain", "a/b/deep", "run", "closed", "shut/in"].map(read).join("")).toBe("1\n2\n3\n4\n5\n");
      expect(existsSync(join(build, "pipe"))).toBe(false);
      expect(readdirSync(build)).toContain("link");
      expect(statSync(join(build, "run"))).toMatchObject({ uid: me.uid });
      expect(statSync(join(build, "run")).mode & 0o7777).toBe(0o755);

      const [record] = await builds.service.queryBuildRecords({ text: result.recordId ?? "", limit: 1 });
      expect(record?.kept).toEqual(result.kept);
      expect(statSync(state("kept")).mode & 0o777, "nobody else may look into it").toBe(0o700);
      expect(builds.leftovers()).toEqual([]);
    });

    test("an output that lacks is a failure like any other", async () => {
      const { result } = await builds.build({ name: "lacks", script: "echo 1 > config.log" }, { keepFailed: true });
      expect(result).toMatchObject({
        error: { code: "BUILD_OUTPUT_MISSING" },
        kept: { sizeBytes: expect.any(Number) },
      });
      const build = await unpackKept(builds.service, result.recordId);
      expect(readdirSync(build)).toEqual(["config.log"]);
    });

    test("what succeeds, what nobody asked to have kept, and what is cancelled leaves nothing", async () => {
      const before = existsSync(state("kept")) ? readdirSync(state("kept")) : [];
      const good = await builds.build({ name: "good", script: "echo 1 > x; echo 1 > $out" }, { keepFailed: true });
      expect(good.result.status).toBe("built");
      const unasked = await builds.build({ name: "unasked", script: "exit 1" });
      expect(unasked.result.kept).toBeUndefined();
      const abort = new AbortController();
      const onEvent = ({ kind }: { kind: string }) => {
        if (kind === "build-log") abort.abort(new Error("enough"));
      };
      const cancelled = { keepFailed: true, signal: abort.signal, onEvent };
      await expect(builds.build({ name: "slow", script: "echo 1; sleep 100" }, cancelled)).rejects.toThrow("enough");
      expect(existsSync(state("kept")) ? readdirSync(state("kept")) : []).toEqual(before);
      expect(builds.leftovers()).toEqual([]);
      for (const { result } of [good, unasked])
        await expect(collectBytes(builds.service.readKeptBuild(result.recordId ?? ""))).rejects.toMatchObject({
          code: "KEPT_BUILD_NOT_FOUND",
        });
      await expect(collectBytes(builds.service.readKeptBuild("none"))).rejects.toMatchObject({
        code: "BUILD_RECORD_NOT_FOUND",
      });
    });

    test("only who asked for the build, and who is trusted, gets it", async () => {
      const { result } = await builds.build({ name: "mine", script: "echo 1 > x; exit 1" }, { keepFailed: true });
      const stranger = local.forCaller({ ...me, uid: me.uid + 1 }, "stranger");
      await expect(unpackKept(stranger, result.recordId)).rejects.toMatchObject({ code: "OPERATION_NOT_ALLOWED" });
      const trusted = local.forCaller({ ...me, uid: me.uid + 1, trusted: true }, "trusted");
      expect(readdirSync(await unpackKept(trusted, result.recordId))).toEqual(["x"]);
    });

    test("a directory that is too deep for an archive comes without its depths", async () => {
      const script = "i=0; while [ $i -lt 80 ]; do mkdir d; cd d; i=$((i+1)); done; exit 1";
      const { result } = await builds.build({ name: "deep", script }, { keepFailed: true });
      expect(result.kept).toMatchObject({ leftOut: 1, leftOutNames: [expect.stringMatching(/^(d\/){63}d$/)] });
    });
  },
);
