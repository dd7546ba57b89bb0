/** What `--json` prints, one schema for each command; docs/json.md is generated from them. */
import { z } from "zod";
import type { BuildRecord } from "../../derivations/build-record.ts";
import type { BuildResult } from "../../derivations/build-result.ts";
import { printContentAddress } from "../../derivations/content-address.ts";
import { parseHash, printHash } from "../../derivations/hash.ts";
import { printStorePath, type StorePath } from "../../derivations/store-path.ts";
import type { GcResult, PathDetails, Root, Status } from "../api/service.ts";
import { realPathOf } from "./store-path-argument.ts";

const path = z.string().meta({ id: "StorePath", description: "logical, the same on every machine" });
const realPath = z.string().describe("where it lies on this machine");
const place = z.strictObject({ path, realPath }).meta({ id: "Place" });
const error = z
  .object({
    code: z.string().describe("the same in every version; see errors.md"),
    message: z.string(),
    hint: z.string().describe("what to do; may be empty"),
    details: z.record(z.string(), z.unknown()).describe("what the message is made of; its fields depend on the code"),
  })
  .meta({ id: "Error" });
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
    }),
    logFile: z.string().optional().describe("in the daemon's log directory; absent if the builder wrote nothing"),
  })
  .meta({ id: "Record", description: "of a build" });
const strength = z
  .object({ ok: z.boolean(), why: z.string().optional(), remedy: z.string().optional() })
  .meta({ id: "Strength" });

export const jsonOutputs = {
  build: z.strictObject({
    results: z.array(
      z.strictObject({
        drvPath: path.nullable().describe("null for a target that is a plain store path"),
        status: z.enum(["built", "already-valid", "failed", "dependency-failed", "cancelled"]),
        outputs: z.record(z.string(), place),
        error: error.optional(),
        recordId: z.string().optional(),
      }),
    ),
  }),
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
  }),
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

type Json<Name extends keyof typeof jsonOutputs> = z.infer<(typeof jsonOutputs)[Name]>;

export function placeJson(storePath: StorePath, status: Status): { path: string; realPath: string } {
  return {
    path: printStorePath(status.storeDirectory, storePath),
    realPath: realPathOf(storePath, status),
  };
}

export function buildJson(results: readonly BuildResult[], status: Status): Json<"build"> {
  return {
    results: results.map((result) => ({
      drvPath: result.drvPath.endsWith(".drv") ? printStorePath(status.storeDirectory, result.drvPath) : null,
      status: result.status,
      outputs: Object.fromEntries(
        Object.entries(result.outputs).map(([id, output]) => [id, placeJson(output, status)]),
      ),
      ...(result.error === undefined ? {} : { error: { ...result.error, details: { ...result.error.details } } }),
      ...(result.recordId === undefined ? {} : { recordId: result.recordId }),
    })),
  };
}

export function pathInfoJson(details: readonly PathDetails[], status: Status): Json<"path-info"> {
  const full = (storePath: StorePath): string => printStorePath(status.storeDirectory, storePath);
  return {
    paths: details.map(({ info, ...rest }) => ({
      ...placeJson(info.path, status),
      narHash: printHash(info.narHash, "sri"),
      narSize: Number(info.narSize),
      references: [...info.references].map(full),
      referrers: rest.referrers.map(full),
      ...(info.deriver === undefined ? {} : { deriver: full(info.deriver) }),
      validDerivers: rest.validDerivers.map(full),
      registeredAtSeconds: info.registeredAtSeconds,
      ultimate: info.ultimate,
      ...(info.contentAddress === undefined ? {} : { contentAddress: printContentAddress(info.contentAddress) }),
      signatures: [...info.signatures],
      closureBytes: Number(rest.closureBytes),
      closurePaths: rest.closurePaths,
      ...(rest.record === undefined ? {} : { record: recordJson(rest.record, status) }),
    })),
  };
}

/** A build record is plain data already; its paths and hashes are printed as they are everywhere else. */
export function recordJson(record: BuildRecord, status: Status): Json<"log">["record"] {
  const full = (storePath: StorePath): string => printStorePath(status.storeDirectory, storePath);
  const { world, error, ...rest } = record;
  return {
    ...rest,
    drvPath: full(record.drvPath),
    command: [...record.command],
    environment: { ...record.environment },
    inputs: record.inputs.map(full),
    ...(world === undefined ? {} : { world: full(world) }),
    strength: record.strength as Json<"log">["record"]["strength"],
    ...(error === undefined ? {} : { error: { ...error, details: { ...error.details } } }),
    outputs: Object.fromEntries(
      Object.entries(record.outputs).map(([id, output]) => [
        id,
        { ...output, path: full(output.path), narHash: printHash(parseHash(output.narHash, "sha256"), "sri") },
      ]),
    ),
  };
}

export function gcJson(result: GcResult, status: Status, dryRun: boolean): Json<"gc"> {
  return {
    deleted: result.deleted.map((deleted) => printStorePath(status.storeDirectory, deleted)),
    freedBytes: Number(result.freedBytes),
    alive: result.alive,
    dryRun,
  };
}

export function rootsJson(roots: readonly Root[], status: Status): Json<"roots"> {
  return { roots: roots.map((root) => ({ ...root, path: printStorePath(status.storeDirectory, root.path) })) };
}
