/** A build's record as lines of a label and a text, for a person. */
import type { BuildRecord } from "../../derivations/build-record.ts";
import { printStorePath, type StorePath } from "../../derivations/store-path.ts";
import type { Status } from "../api/service.ts";
import { cleanText } from "./terminal.ts";
import { printBytes, printDuration } from "./units.ts";

export type LabelledLine = readonly [label: string, text: string];

/** The few lines that go with what is known of its outputs. */
export function summariseRecord(record: BuildRecord): LabelledLine[] {
  const { cpuUserMicroseconds, cpuSystemMicroseconds, maxResidentBytes, peakMemoryBytes } = record.resources;
  const cpu = printDuration((cpuUserMicroseconds + cpuSystemMicroseconds) / 1000);
  return [
    ["built", `${new Date(record.startedAtMs).toISOString()}, ${printTime(record)}, ${record.strength} strength`],
    ["command", record.command.map(cleanText).join(" ")],
    ["used", `${cpu} of processor time, ${printBytes(BigInt(peakMemoryBytes ?? maxResidentBytes))} of memory`],
    ...(record.notEnforced === undefined
      ? []
      : ([["unlimited", `${record.notEnforced.join(", ")}: this machine enforced no limit`]] as const)),
    ...(record.offline === undefined
      ? []
      : ([["offline", `it had no network: ${cleanText(record.offline)}`]] as const)),
    ["build", record.id],
  ];
}

/** All of it. */
export function printRecord(record: BuildRecord, status: Status): LabelledLine[] {
  const full = (path: StorePath): string => printStorePath(status.storeDirectory, path);
  const list = (label: string, texts: readonly string[]): LabelledLine[] =>
    texts.map((text, index) => [index === 0 ? label : "", text]);
  return [
    ["derivation", full(record.drvPath)],
    ["ended", printEnd(record)],
    ...summariseRecord(record),
    ...(record.user === undefined ? [] : ([["asked by", `uid ${record.user.uid}`]] as const)),
    ...list(
      "environment",
      Object.entries(record.environment).map(([name, value]) => cleanText(`${name}=${value}`)),
    ),
    ...list("inputs", record.inputs.map(full)),
    ...list(
      "refused calls",
      (record.refusedCalls ?? []).map(
        ({ call, errno, count }) => `${cleanText(call)}: ${cleanText(errno)}, ${count} times`,
      ),
    ),
    ...list(
      "outputs",
      Object.entries(record.outputs).map(
        ([id, { path, narHash, narSize }]) =>
          `${id}: ${full(path)}, ${printBytes(BigInt(narSize))}, ${cleanText(narHash)}`,
      ),
    ),
  ];
}

function printTime(record: BuildRecord): string {
  return record.stoppedAtMs === undefined
    ? "still running"
    : `took ${printDuration(record.stoppedAtMs - record.startedAtMs)}`;
}

function printEnd(record: BuildRecord): string {
  const status = record.status === "building" || record.status === "sealing" ? "not yet" : record.status;
  if (record.signal !== undefined) return `${status}, by signal ${record.signal}`;
  return record.exitStatus === undefined ? status : `${status}, exit status ${record.exitStatus}`;
}
