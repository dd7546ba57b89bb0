import { describe, expect, test } from "vitest";
import { endingError } from "../../../../daemon/build/ending.ts";
import type { BuildAnswer } from "../../../../sandbox-native/launcher.ts";

const subject = { drvPath: "/cloister/store/x.drv", name: "x", recordId: "record" };
const limits = { wallTimeMs: 1000, silenceMs: 2000, logBytes: 3000, unenforced: ["memory"] };
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
      { kind: "out-of-memory", limit: 512n << 20n, reached: 512n << 20n },
      "BUILD_OUT_OF_MEMORY",
      { limitBytes: 512n << 20n, peakBytes: 512n << 20n },
    ],
    [{ kind: "too-many-processes", limit: 9n, reached: 10n }, "BUILD_TOO_MANY_PROCESSES", { limit: 9 }],
    [
      { kind: "directory-full", limit: 1024n, reached: 1536n },
      "BUILD_DIRECTORY_FULL",
      { limitBytes: 1024n, usedBytes: 1536n },
    ],
    [{ kind: "directory-inodes", limit: 7n, reached: 8n }, "BUILD_DIRECTORY_INODES", { limit: 7 }],
    [{ kind: "disk-low", limit: 2048n, reached: 1n }, "BUILD_DISK_LOW", { leastBytes: 2048n, freeBytes: 1n }],
    [{ kind: "disk-inodes-low", limit: 5n, reached: 4n }, "BUILD_DISK_INODES_LOW", { least: 5, free: 4 }],
    [{ kind: "not-enforced" }, "BUILD_LIMITS_UNENFORCED", { limits: ["memory"] }],
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
  ])("%o is %s", (ending, code, details) => {
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

  test("out of memory says the limit and the peak", () => {
    expect(errorOf({ kind: "out-of-memory", limit: 512n << 20n, reached: 768n << 19n })?.message).toContain(
      "limit 512 MiB, peak 384 MiB",
    );
  });

  test("what was ended by a limit says where the whole log is", () => {
    for (const kind of ["timed-out", "silent", "log-limit"] as const)
      expect(errorOf({ kind })?.hint).toContain("cloister log record");
  });
});
