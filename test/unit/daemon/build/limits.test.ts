/** Limits from where people set them to the error and the record that they read. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { LocalBuilds } from "../../../support/local-builds.ts";
import { hasBusybox } from "../../../support/temporary-launcher.ts";

const needsBusybox = "needs a static /bin/busybox (apt-get install busybox-static)";

describe("limits of builds", () => {
  let here: LocalBuilds;
  beforeAll(async () => {
    if (hasBusybox)
      here = await LocalBuilds.open({ controlGroupRoot: "none", settings: { limits: { logBytes: 1000 } } });
  });
  afterAll(() => here?.[Symbol.asyncDispose]());
  const record = async (id: string | undefined) =>
    (await here.service.queryBuildRecords({ text: id ?? "", limit: 1 }))[0];

  test("a derivation's own limits end its build, each with its code", async ({ skip }) => {
    skip(!hasBusybox, needsBusybox);
    const endings: readonly (readonly [limits: string, script: string, code: string])[] = [
      ["processes=20", "(while true; do sleep 60 & done) || exec sleep 60", "BUILD_TOO_MANY_PROCESSES"],
      ["build-dir-size=4M", "cat /dev/zero > file; sleep 60", "BUILD_DIRECTORY_FULL"],
      ["build-dir-inodes=50", "i=0; while true; do i=$((i+1)); : > f$i; done", "BUILD_DIRECTORY_INODES"],
      ["timeout=1", "sleep 60", "BUILD_TIMED_OUT"],
      ["silence=1", "sleep 60", "BUILD_SILENT"],
      ["log-size=100", "while true; do echo yes; done", "BUILD_LOG_TOO_LONG"],
    ];
    for (const [limits, script, code] of endings) {
      const { result } = await here.build({ name: code.toLowerCase(), script, variables: { __limits: limits } });
      expect(result.error, limits).toMatchObject({ code });
    }
  });

  test("a derivation cannot loosen what the daemon allows", async ({ skip }) => {
    skip(!hasBusybox, needsBusybox);
    const script = "i=0; while [ $i -lt 1000 ]; do i=$((i+1)); echo again; done; echo > $out";
    const { result } = await here.build({ name: "loud", script, variables: { __limits: "log-size=1G" } });
    expect(result.error).toMatchObject({ code: "BUILD_LOG_TOO_LONG", details: { limitBytes: 1000 } });
  });

  test("what is not a limit is refused before anything runs", async ({ skip }) => {
    skip(!hasBusybox, needsBusybox);
    const { result } = await here.build({ name: "odd", script: "echo > $out", variables: { __limits: "memory=lots" } });
    expect(result.error).toMatchObject({ code: "BUILD_ATTRIBUTE_INVALID", details: { attribute: "__limits" } });
  });

  test("what could not be enforced is in the record, and is an error for who requires limits", async ({ skip }) => {
    skip(!hasBusybox, needsBusybox);
    const limits = { memoryBytes: 256 * 2 ** 20, cpuThousandths: 1000 };
    const built = await here.build({ name: "weak", script: "echo > $out" }, { limits });
    expect(built.result.status).toBe("built");
    expect(await record(built.result.recordId)).toMatchObject({ notEnforced: ["memory", "cpus"] });
    const refused = await here.build({ name: "strict", script: "echo > $out" }, { limits, requireLimits: true });
    expect(refused.result.error).toMatchObject({
      code: "BUILD_LIMITS_UNENFORCED",
      details: { limits: ["memory", "cpus"] },
    });
    const fine = await here.build({ name: "fine", script: "echo > $out" }, { requireLimits: true });
    expect(fine.result.status).toBe("built");
    expect((await record(fine.result.recordId))?.notEnforced).toBeUndefined();
  });
});
