import { describe, expect, test } from "vitest";
import { endingError } from "../../../../daemon/build/ending.ts";
import type { BuildAnswer } from "../../../../sandbox-native/launcher.ts";

const subject = { drvPath: "/cloister/store/x.drv", name: "x", recordId: "record" };
const limits = { timeoutMs: 1000, silenceMs: 2000, logLimitBytes: 3000 };
const errorOf = (ending: BuildAnswer["ending"]) => endingError(subject, "/b", ending, limits);

describe("how a builder ended", () => {
  test("exit status 0 is no error", () => {
    expect(errorOf({ kind: "exited", code: 0 })).toBeUndefined();
  });

  test.each<[BuildAnswer["ending"], string, Record<string, unknown>]>([
    [{ kind: "exited", code: 1 }, "BUILD_FAILED_EXIT", { code: 1 }],
    [{ kind: "signalled", signal: 9 }, "BUILD_FAILED_SIGNAL", { signal: 9, signalName: "SIGKILL" }],
    [{ kind: "timed-out" }, "BUILD_TIMED_OUT", { limitMs: 1000 }],
    [{ kind: "silent" }, "BUILD_SILENT", { limitMs: 2000 }],
    [{ kind: "log-limit" }, "BUILD_LOG_TOO_LONG", { limitBytes: 3000 }],
    [{ kind: "cancelled" }, "BUILD_CANCELLED", {}],
    [
      { kind: "setup-failed", step: "pivot-root", errno: 1, errnoName: "EPERM", path: "/x" },
      "BUILD_JAIL_FAILED",
      { step: "pivot-root", errnoName: "EPERM", path: "/x" },
    ],
    [
      { kind: "setup-failed", step: "open-network", errno: 1, errnoName: "EPERM", path: "to open it" },
      "BUILD_NETWORK_FAILED",
      { what: "to open it", errnoName: "EPERM" },
    ],
    [
      { kind: "exec-failed", step: "exec", errno: 2, errnoName: "ENOENT", path: "" },
      "BUILD_BUILDER_NOT_EXECUTABLE",
      { errnoName: "ENOENT", path: "/b" },
    ],
  ])("%j is %s", (ending, code, details) => {
    const error = errorOf(ending);
    expect(error).toMatchObject({ code, details: { ...details, drvPath: subject.drvPath, name: "x" } });
    expect(error?.message).toContain("x");
    expect(error?.hint).not.toBe("");
  });

  test("a build that had no network, and would have had one elsewhere, says so when it fails", () => {
    const missing = { reason: "pasta is not installed", remedy: "sudo apt-get install passt" };
    const error = endingError(subject, "/b", { kind: "exited", code: 3 }, limits, missing);
    expect(error).toMatchObject({ code: "BUILD_FAILED_OFFLINE", details: { code: 3, ...missing } });
    expect(error?.hint).toContain(missing.remedy);
    expect(endingError(subject, "/b", { kind: "exited", code: 0 }, limits, missing)).toBeUndefined();
  });

  test("what was ended by a limit says where the whole log is", () => {
    for (const kind of ["timed-out", "silent", "log-limit"] as const)
      expect(errorOf({ kind })?.hint).toContain("cloister log record");
  });
});
