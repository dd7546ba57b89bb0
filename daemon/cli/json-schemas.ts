/**
 * What `--json` prints, a schema for each command: docs/json.md is made from them, the tests hold the output to them, and
 * the types of what is printed come from them. Nothing loads them to print: zod takes longer than a whole command.
 */
import { z } from "zod";
import { activityOutputs } from "./activity-schemas.ts";

const path = z.string().meta({ id: "StorePath", description: "logical, the same on every machine" });
const realPath = z.string().describe("where it lies on this machine");
const place = z.strictObject({ path, realPath }).meta({ id: "Place" });
const refusedCalls = z
  .array(z.strictObject({ call: z.string(), errno: z.string(), count: z.number() }))
  .describe("with --seccomp-log: the system calls that the jail refused");
const error = z
  .object({
    code: z.string().describe("the same in every version; see errors.md"),
    message: z.string(),
    hint: z.string().describe("what to do; may be empty"),
    details: z.record(z.string(), z.unknown()).describe("what the message is made of; its fields depend on the code"),
  })
  .meta({ id: "Error" });
const verdict = z
  .strictObject({
    finding: z.enum(["same", "depends", "combination", "unsteady", "store-differs"]),
    rounds: z.number().describe("builds that were compared, with the one in the store"),
    varied: z.array(z.string()).describe("what was changed from build to build"),
    causes: z.array(z.string()).describe("what of it makes a difference"),
    outputs: z.record(z.string(), z.strictObject({ path, narHash: z.string(), otherNarHash: z.string() })),
  })
  .meta({ id: "Verdict", description: "of a check: `--check`, `--rounds`, `--vary`" });
const kept = z
  .strictObject({
    sizeBytes: z.number().describe("of the archive that the daemon keeps for a while; 0 if there is none"),
    problem: z.string().optional().describe("why there is none"),
    leftOut: z.number().optional().describe("sockets, FIFOs and so on, which no archive holds"),
    leftOutNames: z.array(z.string()).optional(),
    directory: z.string().optional().describe("where this command has unpacked it"),
  })
  .meta({ id: "Kept", description: "what a failed build left in its build directory: `--keep-failed`" });
const record = z
  .object({
    id: z.string(),
    drvPath: path,
    name: z.string(),
    user: z.strictObject({ uid: z.number() }).optional().describe("who asked first"),
    status: z.enum(["building", "sealing", "done", "failed", "cancelled"]),
    startedAtMs: z.number().describe("milliseconds since 1970"),
    stoppedAtMs: z.number().optional().describe("absent while it runs"),
    command: z.array(z.string()).describe("the builder and its arguments"),
    environment: z.record(z.string(), z.string()).describe("all of it, as the builder saw it"),
    inputs: z.array(path).describe("every path that the builder could see"),
    world: path.optional(),
    strength: z.enum(["range", "root", "single"]),
    exitStatus: z.number().optional(),
    signal: z.number().optional(),
    error: error.optional(),
    outputs: z
      .record(z.string(), z.strictObject({ path, narHash: z.string().describe("SRI"), narSize: z.number() }))
      .describe("by id; empty unless it is done"),
    resources: z.strictObject({
      cpuUserMicroseconds: z.number(),
      cpuSystemMicroseconds: z.number(),
      maxResidentBytes: z.number(),
      wallMicroseconds: z.number(),
      readBytes: z.number().optional().describe("from disks"),
      writtenBytes: z.number().optional(),
      peakMemoryBytes: z.number().optional().describe("of all its processes at a time, where a control group counted"),
      mostProcesses: z.number().optional(),
    }),
    notEnforced: z.array(z.string()).optional().describe("limits that this machine did not let the daemon enforce"),
    offline: z.string().optional().describe("why a build of a fixed output had no network"),
    logFile: z.string().optional().describe("in the daemon's log directory; absent if the builder wrote nothing"),
    refusedCalls: refusedCalls.optional(),
    verdict: verdict.optional(),
    kept: kept.optional(),
  })
  .meta({ id: "Record", description: "of a build" });
const strength = z
  .object({
    ok: z.boolean(),
    why: z.string().optional(),
    remedy: z.string().optional(),
    notEnforced: z.array(z.string()).optional().describe("limits that a build in it would not be held to"),
  })
  .meta({ id: "Strength" });

const sizes = z
  .strictObject({
    storeBytes: z.number().describe("of all valid paths, by the sizes of their archives"),
    databaseBytes: z.number(),
    logBytes: z.number(),
    moreLogs: z.boolean().describe("there are more logs than were looked at"),
    freeBytes: z.number().describe("where the store lies"),
  })
  .meta({ id: "Sizes" });

export const jsonOutputs = {
  build: z.strictObject({
    results: z.array(
      z.strictObject({
        drvPath: path.nullable().describe("null for a target that is a plain store path"),
        status: z.enum(["built", "already-valid", "failed", "dependency-failed", "cancelled"]),
        outputs: z.record(z.string(), place),
        error: error.optional(),
        recordId: z.string().optional(),
        refusedCalls: refusedCalls.optional(),
        verdict: verdict.optional(),
        kept: kept.optional(),
      }),
    ),
  }),
  "build --detach": z.strictObject({ request: z.string().describe("its id, for attach and cancel") }),
  instantiate: z.strictObject({ derivations: z.array(place) }),
  add: z.strictObject({ added: z.array(place) }),
  "path-info": z.strictObject({
    paths: z.array(
      z.strictObject({
        path,
        realPath,
        narHash: z.string().describe("SRI"),
        narSize: z.number(),
        references: z.array(path),
        referrers: z.array(path),
        deriver: path.optional(),
        validDerivers: z.array(path),
        registeredAtSeconds: z.number(),
        ultimate: z.boolean(),
        contentAddress: z.string().optional(),
        signatures: z.array(z.string()),
        closureBytes: z.number(),
        closurePaths: z.number(),
        record: record.optional().describe("the build that made it, if cloister did"),
      }),
    ),
  }),
  ls: z
    .record(z.string(), z.unknown())
    .describe("a NAR listing as Nix writes it: `type`, and `entries`, `size`, `executable`, `narOffset` or `target`"),
  log: z.strictObject({ record, log: z.string().describe("as the builder wrote it, escape sequences and all") }),
  ...activityOutputs(path),
  recover: z.strictObject({ recordId: z.string(), directory: z.string().describe("where it was unpacked") }),
  gc: z.strictObject({ deleted: z.array(path), freedBytes: z.number(), alive: z.number(), dryRun: z.boolean() }),
  roots: z.strictObject({
    roots: z.array(
      z.strictObject({
        kind: z.enum(["permanent", "indirect", "lease"]),
        from: z.string(),
        path,
        unreadable: z.boolean(),
      }),
    ),
  }),
  "roots add": z.strictObject({ name: z.string(), path, realPath }),
  "roots remove": z.strictObject({ removed: z.string() }),
  "world make": place,
  "world show": z.strictObject({
    files: z.array(
      z.strictObject({
        path: z.string(),
        kind: z.enum(["directory", "file", "symlink", "empty-file"]),
        why: z.string(),
        sizeBytes: z.number(),
      }),
    ),
  }),
  status: z.strictObject({
    version: z.string(),
    buildId: z.string().describe("of this very build of the program"),
    pid: z.number(),
    startedAtMs: z.number(),
    storeDirectory: z.string(),
    realStoreDirectory: z.string(),
    stateDirectory: z.string(),
    strength: z.string(),
    system: z.string(),
    maxJobs: z.number(),
    runningBuilds: z.number(),
    waitingBuilds: z.number(),
    connections: z.number(),
    validPaths: z.number(),
    sizes: sizes.optional(),
    limits: z.record(z.string(), z.unknown()).describe("in force for every build, as the configuration names them"),
  }),
  history: z.strictObject({ records: z.array(record), more: z.boolean().describe("there are older ones") }),
  config: z.strictObject({
    running: z.boolean().describe("false: what a daemon would have that is started here"),
    settings: z.array(
      z.strictObject({
        name: z.string().describe("as in the configuration file; see configuration.md"),
        value: z
          .union([z.string(), z.number(), z.boolean(), z.array(z.string()), z.record(z.string(), z.number())])
          .optional()
          .describe("absent where nothing is set"),
        source: z.union([
          z.strictObject({ kind: z.literal("default") }),
          z.strictObject({ kind: z.literal("file"), file: z.string(), line: z.number() }),
          z.strictObject({ kind: z.literal("variable"), name: z.string() }),
          z.strictObject({ kind: z.literal("flag"), name: z.string() }),
        ]),
        reloadable: z.boolean().describe("a running daemon takes a new value"),
      }),
    ),
  }),
  reload: z.strictObject({
    running: z.boolean().describe("false if there was none"),
    applied: z.array(z.string()).describe("settings that changed and hold from now on"),
    needRestart: z.array(z.string()).describe("those that changed and are taken by the next start only"),
  }),
  tree: z.strictObject({
    root: path,
    bytes: z.number().describe("of all together"),
    nodes: z
      .array(
        z.strictObject({
          path,
          references: z.array(path).describe("itself left out"),
          ownBytes: z.number(),
          closureBytes: z.number(),
          retainedBytes: z.number().describe("what the whole would be smaller by without it"),
        }),
      )
      .describe("dependencies first"),
  }),
  "why-depends": z.strictObject({
    depends: z.boolean(),
    chain: z.array(path).describe("the fewest steps, both ends named; empty if it does not depend"),
    steps: z.array(
      z.strictObject({
        from: path,
        to: path,
        count: z.number().describe("how often it stands there; 0 for a world, or what was stated when it was added"),
        places: z.array(
          z.strictObject({
            file: z.string().describe('"" for the path itself'),
            kind: z.enum(["contents", "link"]),
            offset: z.number().describe("of the hash part, in bytes"),
          }),
        ),
      }),
    ),
  }),
  diff: z.strictObject({
    before: path,
    after: path,
    files: z
      .array(
        z.strictObject({
          file: z.string().describe('"" for the path itself'),
          change: z.enum(["added", "removed", "changed"]),
          what: z.enum(["kind", "contents", "executable", "target"]).optional(),
          sizeBefore: z.number().optional(),
          sizeAfter: z.number().optional(),
        }),
      )
      .optional()
      .describe("without --closure"),
    packages: z
      .array(
        z.strictObject({
          name: z.string(),
          change: z.enum(["added", "removed", "changed"]),
          versionsBefore: z.array(z.string()),
          versionsAfter: z.array(z.string()),
          bytesBefore: z.number(),
          bytesAfter: z.number(),
        }),
      )
      .optional()
      .describe("with --closure; the largest change of size first"),
  }),
  "service print": z.strictObject({
    files: z.array(z.strictObject({ path: z.string(), mode: z.number(), text: z.string() })),
  }),
  "service install": z.strictObject({
    done: z.boolean().describe("false without --yes: what would be done"),
    steps: z.array(z.string()),
  }),
  "service remove": z.strictObject({
    done: z.boolean().describe("false without --yes, and where nothing is installed"),
    steps: z.array(z.string()),
  }),
  metrics: z.strictObject({ text: z.string().describe("in the text form of Prometheus") }),
  "daemon stop": z.strictObject({ stopped: z.boolean().describe("false if none ran") }),
  doctor: z.strictObject({
    strengths: z.strictObject({ range: strength, root: strength, single: strength }),
    lines: z.array(
      z.strictObject({
        name: z.string(),
        ok: z.union([z.boolean(), z.literal("notice")]),
        detail: z.string(),
        remedy: z.string().optional(),
      }),
    ),
  }),
  error: z.strictObject({ error }),
} as const;

export type Json<Name extends keyof typeof jsonOutputs> = z.infer<(typeof jsonOutputs)[Name]>;
