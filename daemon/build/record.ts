/** The record of a build: who, when, how long, how much, from what, to what. */
import { randomBytes } from "node:crypto";
import { encodeBase32 } from "../../derivations/base32.ts";
import type { BuildRecord, BuildResources, BuiltOutput, RefusedCall } from "../../derivations/build-record.ts";
import type { KeptDirectory } from "../../derivations/build-result.ts";
import { text } from "../../derivations/bytes.ts";
import type { ErrorData } from "../../derivations/error.ts";
import type { StorePath } from "../../derivations/store-path.ts";
import type { BuildAnswer } from "../../sandbox-native/launcher.ts";
import { describeOutput } from "../../store/build-records.ts";
import type { PreparedBuild } from "./jail-for.ts";
import type { SettledOutput } from "./settled-output.ts";

/** A new id: 16 base-32 digits, which no two builds share. It is also the name of the build's log. */
export function makeRecordId(): string {
  if (randomUsed === random.length) {
    random = randomBytes(256 * idBytes);
    randomUsed = 0;
  }
  randomUsed += idBytes;
  return encodeBase32(random.subarray(randomUsed - idBytes, randomUsed));
}

const idBytes = 10;

/** Asking the kernel costs the same for one id and for 256. */
let random = new Uint8Array(0);
let randomUsed = 0;

/** What is known when a build starts. */
export interface RecordStart {
  readonly id: string;
  readonly drvPath: StorePath;
  readonly build: PreparedBuild;
  readonly user?: { readonly uid: number };
  readonly startedAtMs: number;
  readonly strength: string;
}

/** What is known of how it went: nothing of it while it runs. */
export interface RecordEnd {
  /** Absent if the launcher gave none. */
  readonly answer?: BuildAnswer | undefined;
  readonly outputs?: readonly SettledOutput[];
  readonly error?: ErrorData;
  readonly logFile?: string | undefined;
  readonly kept?: KeptDirectory | undefined;
}

/** The record of a build that runs. */
export function makeRecord(start: RecordStart): BuildRecord {
  const { build } = start;
  return {
    id: start.id,
    drvPath: start.drvPath,
    name: build.derivation.name,
    ...(start.user && { user: { uid: start.user.uid } }),
    status: "building",
    startedAtMs: start.startedAtMs,
    command: [text(build.order.spec.builder), ...build.order.spec.args.map(text)],
    environment: Object.fromEntries(Array.from(build.environment, ([name, value]) => [name, text(value)])),
    inputs: build.inputs,
    ...(build.world !== undefined && { world: build.world }),
    strength: start.strength,
    ...(build.networkMissing && { offline: build.networkMissing.reason }),
    outputs: {},
    resources: noResources,
  };
}

/** The record of a build that has been ordered names its outputs, by which it is settled if the daemon dies. */
export function withPlannedOutputs(record: BuildRecord, build: PreparedBuild): BuildRecord {
  const outputs: Record<string, BuiltOutput> = {};
  for (const { id, finalPath } of build.outputs)
    if (finalPath !== undefined) outputs[id] = { path: finalPath, narHash: "", narSize: 0 };
  return { ...record, outputs };
}

/** The record of a build that has ended. */
export function endRecord(record: BuildRecord, status: BuildRecord["status"], end: RecordEnd): BuildRecord {
  const { ending } = end.answer ?? {};
  return {
    ...record,
    status,
    stoppedAtMs: Date.now(),
    ...(ending?.kind === "exited" && { exitStatus: ending.code }),
    ...(ending?.kind === "signalled" && { signal: ending.signal }),
    ...(end.error && { error: withoutBigints(end.error) }),
    outputs: Object.fromEntries((end.outputs ?? []).map(({ id, info }) => [id, describeOutput(info)])),
    resources: end.answer === undefined ? noResources : resourcesOf(end.answer),
    ...(end.answer !== undefined && end.answer.unenforced.length > 0 && { notEnforced: end.answer.unenforced }),
    ...(end.kept && { kept: end.kept }),
    ...(end.logFile !== undefined && { logFile: end.logFile }),
    ...(end.answer !== undefined && end.answer.refusedCalls.length > 0 && { refusedCalls: refusedCallsOf(end.answer) }),
  };
}

export function refusedCallsOf({ refusedCalls }: BuildAnswer): RefusedCall[] {
  return refusedCalls.map(({ call, errnoName, count }) => ({ call, errno: errnoName, count }));
}

const noResources: BuildResources = {
  cpuUserMicroseconds: 0,
  cpuSystemMicroseconds: 0,
  maxResidentBytes: 0,
  wallMicroseconds: 0,
};

function resourcesOf({ resources }: BuildAnswer): BuildResources {
  return {
    cpuUserMicroseconds: resources.cpuUserMicroseconds,
    cpuSystemMicroseconds: resources.cpuSystemMicroseconds,
    maxResidentBytes: resources.maxResidentBytes,
    wallMicroseconds: resources.wallMicroseconds,
    readBytes: resources.readBytes,
    writtenBytes: resources.writtenBytes,
    ...(resources.peakMemoryBytes !== undefined && { peakMemoryBytes: resources.peakMemoryBytes }),
    ...(resources.mostProcesses !== undefined && { mostProcesses: resources.mostProcesses }),
  };
}

/** A record is kept as JSON, which has no such numbers; errors of the layers below may. */
function withoutBigints(error: ErrorData): ErrorData {
  const details = Object.entries(error.details).map(
    ([name, value]) => [name, typeof value === "bigint" ? String(value) : value] as const,
  );
  return { ...error, details: Object.fromEntries(details) };
}
