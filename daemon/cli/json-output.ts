/** What `--json` prints, one schema for each command; docs/json.md is generated from them. */
import { z } from "zod";
import type { BuildRecord } from "../../derivations/build-record.ts";
import type { BuildResult } from "../../derivations/build-result.ts";
import { printContentAddress } from "../../derivations/content-address.ts";
import { printHash } from "../../derivations/hash.ts";
import { printStorePath, type StorePath } from "../../derivations/store-path.ts";
import type { GcResult, PathDetails, Root, Status } from "../api/service.ts";
import { realPathOf } from "./store-path-argument.ts";

const path = z.string().describe("logical store path, the same on every machine");
const realPath = z.string().describe("where it lies on this machine");
const place = z.object({ path, realPath });
const error = z.object({
  code: z.string(),
  message: z.string(),
  hint: z.string(),
  details: z.record(z.string(), z.unknown()),
});

export const jsonOutputs = {
  build: z.object({
    results: z.array(
      z.object({
        drvPath: path.nullable().describe("null for a target that is a plain store path"),
        status: z.enum(["built", "already-valid", "failed", "dependency-failed", "cancelled"]),
        outputs: z.record(z.string(), place),
        error: error.optional(),
        recordId: z.string().optional(),
      }),
    ),
  }),
  instantiate: z.object({ derivations: z.array(place) }),
  add: z.object({ added: z.array(place) }),
  "path-info": z.object({
    paths: z.array(
      z.object({
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
        record: z.record(z.string(), z.unknown()).optional().describe("the build that made it"),
      }),
    ),
  }),
  log: z.object({ record: z.record(z.string(), z.unknown()), log: z.string() }),
  gc: z.object({ deleted: z.array(path), freedBytes: z.number(), alive: z.number(), dryRun: z.boolean() }),
  roots: z.object({
    roots: z.array(
      z.object({ kind: z.enum(["permanent", "indirect", "lease"]), from: z.string(), path, unreadable: z.boolean() }),
    ),
  }),
  status: z.object({
    version: z.string(),
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
  error: z.object({ error }),
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
      ...(rest.record === undefined ? {} : { record: recordJson(rest.record) }),
    })),
  };
}

/** A build record is plain data already; only its type wants loosening. */
export function recordJson(record: BuildRecord): Record<string, unknown> {
  return { ...record };
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
