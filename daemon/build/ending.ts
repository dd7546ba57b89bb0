/** How a builder ended, as an error unless it ended well. */
import { constants } from "node:os";
import type { BuildAnswer } from "../../sandbox-native/launcher.ts";
import type { NoWayOut } from "../../sandbox-native/way-out.ts";
import type { Subject } from "./context.ts";
import { BuildError } from "./errors.ts";

export interface Limits {
  readonly wallTimeMs: number;
  readonly silenceMs: number;
  readonly logBytes: number;
  /** Those that this machine does not let us enforce. */
  readonly unenforced: readonly string[];
}

/** Undefined if the builder exited with status 0. */
export function endingError(
  subject: Subject & { readonly recordId: string },
  builder: string,
  ending: BuildAnswer["ending"],
  limits: Limits,
  networkMissing?: NoWayOut,
) {
  switch (ending.kind) {
    case "exited":
      if (ending.code === 0) return undefined;
      return networkMissing === undefined
        ? new BuildError("BUILD_FAILED_EXIT", { ...subject, code: ending.code })
        : new BuildError("BUILD_FAILED_OFFLINE", { ...subject, code: ending.code, ...networkMissing });
    case "signalled":
      return new BuildError("BUILD_FAILED_SIGNAL", {
        ...subject,
        signal: ending.signal,
        signalName: nameOfSignal(ending.signal),
      });
    case "timed-out":
      return new BuildError("BUILD_TIMED_OUT", { ...subject, limitMs: limits.wallTimeMs });
    case "silent":
      return new BuildError("BUILD_SILENT", { ...subject, limitMs: limits.silenceMs });
    case "log-limit":
      return new BuildError("BUILD_LOG_TOO_LONG", { ...subject, limitBytes: limits.logBytes });
    case "out-of-memory":
      return new BuildError("BUILD_OUT_OF_MEMORY", { ...subject, limitBytes: ending.limit, peakBytes: ending.reached });
    case "too-many-processes":
      return new BuildError("BUILD_TOO_MANY_PROCESSES", { ...subject, limit: Number(ending.limit) });
    case "directory-full":
      return new BuildError("BUILD_DIRECTORY_FULL", {
        ...subject,
        limitBytes: ending.limit,
        usedBytes: ending.reached,
      });
    case "directory-inodes":
      return new BuildError("BUILD_DIRECTORY_INODES", { ...subject, limit: Number(ending.limit) });
    case "disk-low":
      return new BuildError("BUILD_DISK_LOW", { ...subject, leastBytes: ending.limit, freeBytes: ending.reached });
    case "disk-inodes-low":
      return new BuildError("BUILD_DISK_INODES_LOW", {
        ...subject,
        least: Number(ending.limit),
        free: Number(ending.reached),
      });
    case "not-enforced":
      return new BuildError("BUILD_LIMITS_UNENFORCED", { ...subject, limits: limits.unenforced });
    case "cancelled":
      return new BuildError("BUILD_CANCELLED", subject);
    case "setup-failed":
      if (ending.step === "open-network")
        return new BuildError("BUILD_NETWORK_FAILED", { ...subject, what: ending.path, errnoName: ending.errnoName });
      return new BuildError("BUILD_JAIL_FAILED", {
        ...subject,
        step: ending.step,
        errnoName: ending.errnoName,
        path: ending.path,
      });
    case "exec-failed":
      return new BuildError("BUILD_BUILDER_NOT_EXECUTABLE", {
        ...subject,
        errnoName: ending.errnoName,
        path: ending.path === "" ? builder : ending.path,
      });
    default:
      return ending satisfies never;
  }
}

function nameOfSignal(signal: number): string {
  return Object.entries(constants.signals).find(([, number]) => number === signal)?.[0] ?? "unknown";
}
