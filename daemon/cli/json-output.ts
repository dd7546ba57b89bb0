/** What `--json` prints, made from the answers of the service. */
import type { BuildRecord } from "../../derivations/build-record.ts";
import type { BuildResult, KeptDirectory } from "../../derivations/build-result.ts";
import { printContentAddress } from "../../derivations/content-address.ts";
import { parseHash, printHash } from "../../derivations/hash.ts";
import { printStorePath, type StorePath } from "../../derivations/store-path.ts";
import type { Verdict } from "../../derivations/verdict.ts";
import type { Activity } from "../api/activity.ts";
import type { CancelResult } from "../api/requests.ts";
import type { GcResult, PathDetails, Root, Status } from "../api/service.ts";
import type { Json } from "./json-schemas.ts";
import { realPathOf } from "./store-path-argument.ts";

export function placeJson(storePath: StorePath, status: Status): { path: string; realPath: string } {
  return {
    path: printStorePath(status.storeDirectory, storePath),
    realPath: realPathOf(storePath, status),
  };
}

export function buildJson(
  results: readonly BuildResult[],
  status: Status,
  directories: ReadonlyMap<string, string> = new Map(),
): Json<"build"> {
  return {
    results: results.map((result) => ({
      drvPath: result.drvPath.endsWith(".drv") ? printStorePath(status.storeDirectory, result.drvPath) : null,
      status: result.status,
      outputs: Object.fromEntries(
        Object.entries(result.outputs).map(([id, output]) => [id, placeJson(output, status)]),
      ),
      ...(result.error === undefined ? {} : { error: { ...result.error, details: { ...result.error.details } } }),
      ...(result.recordId === undefined ? {} : { recordId: result.recordId }),
      ...(result.refusedCalls === undefined ? {} : { refusedCalls: [...result.refusedCalls] }),
      ...(result.kept === undefined ? {} : { kept: keptJson(result.kept, directories.get(result.recordId ?? "")) }),
      ...(result.verdict === undefined ? {} : { verdict: verdictJson(result.verdict, status) }),
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
  const { world, error, notEnforced, refusedCalls, verdict, kept, ...rest } = record;
  return {
    ...rest,
    drvPath: full(record.drvPath),
    ...(refusedCalls === undefined ? {} : { refusedCalls: [...refusedCalls] }),
    ...(verdict === undefined ? {} : { verdict: verdictJson(verdict, status) }),
    ...(kept === undefined ? {} : { kept: keptJson(kept) }),
    command: [...record.command],
    environment: { ...record.environment },
    inputs: record.inputs.map(full),
    ...(world === undefined ? {} : { world: full(world) }),
    strength: record.strength as Json<"log">["record"]["strength"],
    ...(notEnforced === undefined ? {} : { notEnforced: [...notEnforced] }),
    ...(error === undefined ? {} : { error: { ...error, details: { ...error.details } } }),
    outputs: Object.fromEntries(
      Object.entries(record.outputs).map(([id, output]) => [
        id,
        { ...output, path: full(output.path), narHash: printHash(parseHash(output.narHash, "sha256"), "sri") },
      ]),
    ),
  };
}

function keptJson(
  { leftOutNames, ...kept }: KeptDirectory,
  directory?: string,
): NonNullable<Json<"log">["record"]["kept"]> {
  return {
    ...kept,
    ...(leftOutNames && { leftOutNames: [...leftOutNames] }),
    ...(directory !== undefined && { directory }),
  };
}

function verdictJson(verdict: Verdict, status: Status): NonNullable<Json<"log">["record"]["verdict"]> {
  const sri = (hash: string) => printHash(parseHash(hash, "sha256"), "sri");
  const outputs = Object.entries(verdict.outputs).map(([id, { path, narHash, otherNarHash }]) => [
    id,
    { path: printStorePath(status.storeDirectory, path), narHash: sri(narHash), otherNarHash: sri(otherNarHash) },
  ]);
  const { finding, rounds, varied, causes } = verdict;
  return { finding, rounds, varied: [...varied], causes: [...causes], outputs: Object.fromEntries(outputs) };
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

export function activityJson({ requests, builds }: Activity, status: Status): Json<"ps"> {
  const full = (storePath: StorePath): string => printStorePath(status.storeDirectory, storePath);
  return {
    requests: [...requests],
    builds: builds.map(({ waitsFor, ...build }) => ({
      ...build,
      drvPath: full(build.drvPath),
      requests: [...build.requests],
      ...(waitsFor === undefined ? {} : { waitsFor: { ...waitsFor } }),
    })),
  };
}

export function cancelJson({ builds, ...result }: CancelResult, status: Status): Json<"cancel"> {
  return {
    ...result,
    builds: builds.map((build) => ({
      ...build,
      drvPath: printStorePath(status.storeDirectory, build.drvPath),
      wantedBy: [...build.wantedBy],
    })),
  };
}
