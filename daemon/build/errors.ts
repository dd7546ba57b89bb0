/** The errors of builds: what a derivation asks for that cannot be, how a builder can end, what its outputs can have wrong. */
import { errorClass, row } from "../../derivations/error.ts";
import type { Finding } from "../../derivations/verdict.ts";

/** What every error about one derivation says of it. */
interface OfDerivation {
  readonly drvPath: string;
  readonly name: string;
}

/** What every error says that comes after a builder was started: the record's id is also the log's. */
interface OfBuild extends OfDerivation {
  readonly recordId: string;
}

const seeLog = (d: OfBuild) => `Read the whole log with \`cloister log ${d.recordId}\``;

export const buildErrors = {
  BUILD_FAILED_EXIT: row(
    (d: OfBuild & { code: number }) => `the builder of ${d.name} ended with exit status ${d.code}`,
    seeLog,
  ),
  BUILD_FAILED_SIGNAL: row(
    (d: OfBuild & { signal: number; signalName: string }) =>
      `the builder of ${d.name} was ended by signal ${d.signal} (${d.signalName})`,
    (d) => (d.signal === 9 ? `Perhaps it ran out of memory. ${seeLog(d)}` : seeLog(d)),
  ),
  BUILD_FAILED_OFFLINE: row(
    (d: OfBuild & { code: number; reason: string; remedy: string }) =>
      `the builder of ${d.name} ended with exit status ${d.code}; it makes a fixed output, but had no network, because ${d.reason}`,
    (d) => `If it was the network that it missed: ${d.remedy}. ${seeLog(d)}`,
  ),
  BUILD_TIMED_OUT: row(
    (d: OfBuild & { limitMs: number }) => `the build of ${d.name} was ended: it ran longer than ${seconds(d.limitMs)}`,
    (d) =>
      `Raise the limit (\`--timeout SECONDS\`, 0 for none), or find out what it waits for: \`cloister log ${d.recordId}\``,
  ),
  BUILD_SILENT: row(
    (d: OfBuild & { limitMs: number }) =>
      `the build of ${d.name} was ended: it wrote nothing to its log for ${seconds(d.limitMs)}`,
    (d) => `Raise the limit on silence (0 for none), or find out what it waits for: \`cloister log ${d.recordId}\``,
  ),
  BUILD_LOG_TOO_LONG: row(
    (d: OfBuild & { limitBytes: number }) =>
      `the build of ${d.name} was ended: its log grew past ${d.limitBytes} bytes`,
    (d) => `Make the builder say less; what it said is in \`cloister log ${d.recordId}\``,
  ),
  BUILD_OUT_OF_MEMORY: row(
    (d: OfBuild & { limitBytes: bigint; peakBytes: bigint }) =>
      `the build of ${d.name} ran out of memory: limit ${size(d.limitBytes)}, peak ${size(d.peakBytes)}`,
    (d) =>
      `Raise the limit (\`--memory SIZE\`, or memory in the derivation's __limits), or have the builder do less at once. ${seeLog(d)}`,
  ),
  BUILD_TOO_MANY_PROCESSES: row(
    (d: OfBuild & { limit: number }) =>
      `the build of ${d.name} was ended: it wanted more than ${d.limit} processes and threads at a time`,
    (d) => `Raise the limit (\`--processes NUMBER\`), or have the builder start fewer. ${seeLog(d)}`,
  ),
  BUILD_DIRECTORY_FULL: row(
    (d: OfBuild & { limitBytes: bigint; usedBytes: bigint }) =>
      `the build directory of ${d.name} is full: ${size(d.usedBytes)} of ${size(d.limitBytes)}, outputs included`,
    (d) => `Raise the limit (\`--build-dir-size SIZE\`), or have the builder keep less. ${seeLog(d)}`,
  ),
  BUILD_DIRECTORY_INODES: row(
    (d: OfBuild & { limit: number }) =>
      `the build directory of ${d.name} is full: it may hold ${d.limit} files and directories, outputs included`,
    (d) => `Raise the limit (\`--build-dir-inodes NUMBER\`), or have the builder make fewer. ${seeLog(d)}`,
  ),
  BUILD_DISK_LOW: row(
    (d: OfBuild & { leastBytes: bigint; freeBytes: bigint }) =>
      `the build of ${d.name} was ended, for the disk is nearly full: ${size(d.freeBytes)} are free, ${size(d.leastBytes)} must be`,
    "Free space with `cloister gc`, or have the daemon keep less free (`--min-free SIZE`)",
  ),
  BUILD_DISK_INODES_LOW: row(
    (d: OfBuild & { least: number; free: number }) =>
      `the build of ${d.name} was ended, for the disk has hardly any inodes left: ${d.free} are free, ${d.least} must be`,
    "Remove files, with `cloister gc` for example, or have the daemon keep fewer free (`--min-free-inodes NUMBER`)",
  ),
  BUILD_LIMITS_UNENFORCED: row(
    (d: OfBuild & { limits: readonly string[] }) =>
      `${d.name} was not built, because this machine does not let the daemon enforce its limits of ${d.limits.join(", ")}`,
    "Give the daemon control groups (`cloister doctor` says how), leave these limits out, or go without `--require-limits`",
  ),
  BUILD_CANCELLED: row(
    (d: OfDerivation) => `the build of ${d.name} was cancelled`,
    "Ask for it again to start it from the beginning",
  ),
  BUILD_BUILDER_NOT_EXECUTABLE: row(
    (d: OfBuild & { path: string; errnoName: string }) =>
      `the builder of ${d.name}, ${d.path}, cannot be executed in its jail: ${d.errnoName}`,
    (d) =>
      d.errnoName === "ENOENT"
        ? "The file, or the interpreter that it names, is not among the inputs: add it to them, or give the derivation a world that has it"
        : "The builder must be an executable file for this machine, or a script whose first line names its interpreter",
  ),
  BUILD_JAIL_FAILED: row(
    (d: OfBuild & { step: string; errnoName: string; path: string }) =>
      `the jail of ${d.name} could not be made: ${d.step}${d.path === "" ? "" : ` of ${d.path}`}: ${d.errnoName}`,
    "Nothing was built. Run `cloister doctor`: it tests what jails need of this machine and says how to mend it",
  ),
  BUILD_NETWORK_UNAVAILABLE: row(
    (d: OfDerivation & { reason: string; remedy: string }) =>
      `${d.name} makes a fixed output and cannot have a network here: ${d.reason}`,
    (d) => `Run: ${d.remedy}; or start the daemon with \`--network auto\` or \`none\` to build it without one`,
  ),
  BUILD_NETWORK_FAILED: row(
    (d: OfBuild & { what: string; errnoName: string }) =>
      `${d.name} could not be given a network: it failed ${d.what}${d.errnoName === "" ? "" : `: ${d.errnoName}`}`,
    "Nothing was built. Run `cloister doctor`, or start the daemon with `--network none` to build fixed outputs without a network",
  ),
  BUILD_OUTPUT_MISSING: row(
    (d: OfBuild & { outputId: string; path: string }) =>
      `the builder of ${d.name} ended well, but did not make its output ${d.outputId} (${d.path})`,
    (d) => `A builder must make each output at the path in its variable, here $${d.outputId}. ${seeLog(d)}`,
  ),
  BUILD_OUTPUT_REFUSED: row(
    (d: OfBuild & { outputId: string; path: string; reason: string; refusal: string }) =>
      `the output ${d.outputId} of ${d.name} cannot go into the store: ${d.reason} (${d.path})`,
    (d) =>
      `An output is made of regular files, directories and symbolic links that the builder owns, and its top is writable by the owner only (${d.refusal})`,
  ),
  BUILD_OUTPUT_HASH_MISMATCH: row(
    (d: OfBuild & { outputId: string; path: string; expected: string; got: string }) =>
      `the output ${d.path} of ${d.name} has another hash than was promised\n  expected: ${d.expected}\n  got:      ${d.got}`,
    "If what was built is what you want, put the hash that it got into the definition",
  ),
  BUILD_OUTPUT_CYCLE: row(
    (d: OfBuild & { outputIds: readonly string[] }) =>
      `the outputs ${d.outputIds.join(", ")} of ${d.name} refer to each other in a circle`,
    "Move what they share into one of them, so that references between outputs go one way",
  ),
  BUILD_REFERENCE_FORBIDDEN: row(
    (d: OfBuild & { outputId: string; rule: string; references: readonly string[] }) =>
      `the output ${d.outputId} of ${d.name} refers to what ${d.rule} forbids:\n  ${d.references.join("\n  ")}`,
    (d) =>
      d.rule === "a fixed hash"
        ? "An output with a promised hash is the same whatever it was made with, so it names no store path: remove them from its files"
        : `Keep these paths out of the output, or change ${d.rule} in the definition`,
  ),
  BUILD_OUTPUT_TOO_BIG: row(
    (d: OfBuild & { outputId: string; rule: string; limitBytes: number; sizeBytes: number }) =>
      `the output ${d.outputId} of ${d.name} has ${d.sizeBytes} bytes; ${d.rule} allows ${d.limitBytes}`,
    (d) => `Make it smaller, or raise ${d.rule} in the definition`,
  ),
  BUILD_NOT_DETERMINISTIC: row(
    (
      d: OfBuild & {
        outputId: string;
        path: string;
        second: string;
        files: readonly string[];
        finding?: Finding;
        causes?: readonly string[];
      },
    ) =>
      `the output ${d.outputId} of ${d.name} came out differently ${whyDifferent(d)}; what differs:\n  ${d.files.join("\n  ")}`,
    "Compare it with the second output, which is kept beside it with `.check` behind its name; times, random numbers and the order of files are common causes",
  ),
  BUILD_DEPENDENCY_FAILED: row(
    (d: OfDerivation & { cause: string; causeName: string; causeCode: string }) =>
      `${d.name} was not built, because ${d.causeName}, which it needs, was not (${d.causeCode})`,
    "Mend that one first",
  ),
  BUILD_SYSTEM_UNSUPPORTED: row(
    (d: OfDerivation & { system: string; supported: readonly string[] }) =>
      `${d.name} is to be built on ${d.system}; this machine builds ${d.supported.join(" and ")}`,
    "Set its system to this machine's, or ask a daemon on a machine of that kind",
  ),
  BUILD_FEATURE_UNSUPPORTED: row(
    (d: OfDerivation & { features: readonly string[]; supported: readonly string[] }) =>
      `${d.name} requires ${d.features.join(", ")} of the machine that builds it; this one has ${d.supported.join(", ") || "no such features"}`,
    "Remove them from requiredSystemFeatures, if the build does not need them after all",
  ),
  BUILD_BUILTIN_UNSUPPORTED: row(
    (d: OfDerivation & { builder: string }) => `${d.name} has the builder ${d.builder}, which is not built in here`,
    "Make it with a program that is among its inputs, or add the file with `cloister add`",
  ),
  BUILD_ATTRIBUTE_INVALID: row(
    (d: OfDerivation & { attribute: string; reason: string }) =>
      `the attribute ${d.attribute} of ${d.name} is not valid: ${d.reason}`,
    "Correct the definition and instantiate it again",
  ),
  BUILD_INPUT_MISSING: row(
    (d: OfDerivation & { path: string }) => `${d.name} needs ${d.path}, which is not in the store`,
    "Add it, or instantiate the definition again, which adds its sources and derivations",
  ),
  BUILD_WORLD_NOT_INPUT: row(
    (d: OfDerivation & { world: string }) =>
      `${d.name} is to be built in the world ${d.world}, which is not among its inputs`,
    "Add it to the derivation's input sources, or the derivation that makes it to its input derivations",
  ),
  BUILD_WORLD_NOT_ADMITTED: row(
    (d: OfDerivation & { world: string; form: string }) =>
      `the outputs of ${d.name} are addressed by a ${d.form}, which leaves no place for a reference to the world they are built in`,
    'Say `runtime: "none"` if they can stand alone, or address them by a recursive sha256 hash',
  ),
  BUILD_OUTPUT_UNKNOWN: row(
    (d: OfDerivation & { outputId: string; outputIds: readonly string[] }) =>
      `${d.name} has no output ${d.outputId}; it has ${d.outputIds.join(", ")}`,
    "Ask for one of those, or for all with ^*",
  ),
  BUILD_TARGET_NOT_VALID: row(
    (d: { path: string }) => `${d.path} is not in the store, and no derivation was named that makes it`,
    "Ask for its derivation: DRV^out",
  ),
  BUILD_DAEMON_STOPPING: row(
    () => "the daemon is stopping and takes no new work",
    "Ask again: the next command starts a new one",
  ),
  BUILD_INTERNAL: row(
    (d: OfDerivation & { problem: string; stack: string }) =>
      `the build of ${d.name} met a mistake of cloister's own: ${d.problem}`,
    "Please report it, with the daemon's log",
  ),
} as const;

export const BuildError = errorClass(buildErrors, "BuildError");

/** For "came out differently …". */
function whyDifferent({ finding, causes = [] }: { finding?: Finding; causes?: readonly string[] }): string {
  const names = causes.join(", ");
  switch (finding) {
    case "depends":
      return `with another ${names}`;
    case "combination":
      return `when all of ${names} were others, and with none of them alone`;
    case "store-differs":
      return "from what is in the store, and the same each time now";
    case "unsteady":
      return "when nothing was varied";
    default:
      return "the second time";
  }
}

/** In the largest unit that leaves at least one of it: "512 MiB". */
function size(bytes: bigint): string {
  let value = Number(bytes);
  let unit = 0;
  for (; value >= 1024 && unit < sizeUnits.length - 1; unit += 1) value /= 1024;
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${sizeUnits[unit]}`;
}

const sizeUnits = ["bytes", "KiB", "MiB", "GiB", "TiB"] as const;

function seconds(milliseconds: number): string {
  const value = milliseconds / 1000;
  return `${value} second${value === 1 ? "" : "s"}`;
}
