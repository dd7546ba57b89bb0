/**
 * The bodies of the packets to and from the launcher, one after the other what they hold.
 */
import { errnoNameOf, type FailedCall, type NativeFailure } from "./errors.ts";
import { type JailSpec, limitResources, noResourceLimits, seccompProfiles } from "./jail-spec.ts";
import { MessageReader, MessageWriter } from "./message.ts";

export const messageKinds = {
  build: 1,
  restore: 2,
  writeText: 3,
  move: 4,
  rewrite: 5,
  remove: 6,
  cancel: 7,
  discard: 8,
  usage: 9,
  giveUpBuildDirectory: 10,
  hello: 100,
  answer: 101,
  failure: 102,
  log: 103,
  spawned: 104,
} as const;

export const strengths = ["range", "root", "single"] as const;
/** Which identities the launcher has; see docs/jail.md. */
export type Strength = (typeof strengths)[number];

export const hashAlgorithms = ["md5", "sha1", "sha256", "sha512"] as const;
export interface OutputHash {
  readonly method: "flat" | "recursive";
  readonly algorithm: (typeof hashAlgorithms)[number];
}

export interface OutputOrder {
  readonly name: string;
  /** Of a fixed output; of a floating one (`moduloSelf`) the algorithm of the hash modulo self. */
  readonly hash?: OutputHash;
  /** Asks for the hash of the archive with the output's own hash part blanked. */
  readonly moduloSelf?: boolean;
}

export interface BuildOrder {
  readonly spec: JailSpec;
  /** Hash parts (32 digits) that the outputs are searched for, their own among them. */
  readonly candidates: readonly string[];
  readonly outputs: readonly OutputOrder[];
  /**
   * Move all outputs into the store under their names as soon as all are sealed: for outputs about which nothing is left
   * to be decided, by a caller who holds their locks.
   */
  readonly moveOutputs?: boolean;
  /** Leave the build directory, which must be on disk, until it is given up. */
  readonly keepDirectory?: boolean;
}

/** In the order of src/launcher/ending.h, from kOutOfMemory on. */
const limitKinds = [
  "out-of-memory",
  "too-many-processes",
  "directory-full",
  "directory-inodes",
  "disk-low",
  "disk-inodes-low",
] as const;
export type LimitKind = (typeof limitKinds)[number];

export interface MetLimit {
  readonly limit: bigint;
  readonly reached: bigint;
}

/** In the order of the bits of src/launcher/control-groups.h. */
export const unenforceableLimits = ["memory", "swap", "cpus", "cpuWeight", "processes", "ioWeight", "ioRate"] as const;
export type UnenforceableLimit = (typeof unenforceableLimits)[number];

/** How a build ended. */
export type Ending =
  | { readonly kind: "exited"; readonly code: number }
  | { readonly kind: "signalled"; readonly signal: number }
  | { readonly kind: "timed-out" | "silent" | "log-limit" | "cancelled" }
  /** Bytes of memory, of the build directory, and of what is free where that lies; or processes, or inodes. */
  | ({ readonly kind: LimitKind } & MetLimit)
  /** Nothing ran: the limits that could not have been enforced are in `unenforced`. */
  | { readonly kind: "not-enforced" }
  | ({ readonly kind: "setup-failed" } & FailedCall)
  /** The path is the builder's, inside the jail; `step` is "exec". */
  | ({ readonly kind: "exec-failed" } & FailedCall);

export interface Resources {
  readonly cpuUserMicroseconds: number;
  readonly cpuSystemMicroseconds: number;
  /** Of the largest of its processes. */
  readonly maxResidentBytes: number;
  readonly wallMicroseconds: number;
  /** From and to disks. */
  readonly readBytes: number;
  readonly writtenBytes: number;
  /** Of all processes together, at a time; known where a control group counted. */
  readonly peakMemoryBytes?: number;
  readonly mostProcesses?: number;
}

export interface SealedOutput {
  /** For `move`, `rewrite` and `discard`. */
  readonly stagingName: string;
  readonly narHash: Uint8Array;
  readonly narSize: bigint;
  /** The candidates that were found. */
  readonly references: string[];
  readonly hash?: Uint8Array;
  readonly moduloSelfHash?: Uint8Array;
}

export type BuiltOutput =
  | { readonly name: string; readonly kind: "missing" }
  | {
      readonly name: string;
      readonly kind: "refused";
      readonly code: string;
      readonly errno: number;
      readonly path: string;
    }
  | ({ readonly name: string; readonly kind: "sealed" } & SealedOutput);

export function encodeBuildOrder(order: BuildOrder): Uint8Array {
  const { spec } = order;
  const writer = new MessageWriter()
    .bytes(spec.storeDirectory)
    .names(spec.inputs)
    .bytes(spec.world ?? "")
    .texts(spec.outputs)
    .bytes(spec.builder)
    .texts([spec.argv0, ...spec.args])
    .texts(spec.environment)
    .bytes(spec.buildDirectory.inside)
    .u8(spec.buildDirectory.kind === "tmpfs" ? 1 : 0)
    .u64(spec.buildDirectory.sizeBytes)
    .u64(spec.buildDirectory.inodes);
  writer.list(spec.files, (file) =>
    writer
      .bytes(file.name)
      .bytes(file.contents)
      .u8(file.executable ? 1 : 0),
  );
  writer
    .u8(spec.personality === "linux32" ? 1 : 0)
    .u32(spec.umask)
    .u64(spec.limits.wallTimeMs)
    .u64(spec.limits.silenceMs)
    .u64(spec.limits.logBytes);
  writer.list(spec.limits.rlimits, ({ resource, soft, hard }) =>
    writer.u32(limitResources[resource]).u64(soft).u64(hard),
  );
  writer.u8(seccompProfiles.indexOf(spec.seccomp?.profile ?? (spec.network === "none" ? "build" : "fetch")));
  writer.u8(spec.seccomp?.nestedUserNamespaces === true ? 1 : 0);
  writer.u8(spec.seccomp?.log === true ? 1 : 0);
  if (spec.network === "none") writer.u8(0).texts([]).bytes("");
  else writer.u8(1).texts(spec.network.blocked).bytes(resolverConfiguration(spec.network.nameservers));
  const resources = spec.limits.resources ?? noResourceLimits;
  writer
    .u64(resources.memoryBytes)
    .u64(resources.swapBytes)
    .u32(resources.cpuThousandths)
    .u32(resources.cpuWeight)
    .u32(resources.processes)
    .u32(resources.ioWeight)
    .u64(resources.readBytesPerSecond)
    .u64(resources.writtenBytesPerSecond)
    .u64(resources.leastFreeBytes)
    .u64(resources.leastFreeInodes)
    .u8(resources.required ? 1 : 0)
    .u8(spec.otherIds === true ? 1 : 0)
    .bytes(spec.hostName)
    .u32(spec.mostProcessors ?? 0)
    .u8(spec.freshView === true ? 1 : 0);
  writer.bytes(order.candidates.join(""));
  writer.list(order.outputs, (output) => {
    writer.bytes(output.name);
    writeOutputHash(writer, output.hash).u8(output.moduloSelf ? 1 : 0);
  });
  writer.u8(order.moveOutputs ? 1 : 0).u8(order.keepDirectory ? 1 : 0);
  return writer.finish();
}

/** Source: resolv.conf(5), which knows three name servers. */
function resolverConfiguration(nameservers: readonly string[]): string {
  return nameservers
    .slice(0, 3)
    .map((address) => `nameserver ${address}\n`)
    .join("");
}

export function writeOutputHash(writer: MessageWriter, hash: OutputHash | undefined): MessageWriter {
  if (hash === undefined) return writer.u8(0).u8(0);
  return writer.u8(hash.method === "flat" ? 1 : 2).u8(hashAlgorithms.indexOf(hash.algorithm));
}

/** A system call that the jail's filter refused. */
export interface RefusedCall {
  /** Such as "keyctl"; "call 700" if no call has its number. */
  readonly call: string;
  readonly errnoName: string;
  /** How often. */
  readonly count: number;
}

export interface DecodedBuildAnswer {
  readonly ending: Ending;
  /** Of the builder, in the launcher's user namespace. */
  readonly uid: number;
  /** Holds the outputs; to be released by `move` or `discard`. */
  readonly view: string;
  /** Of a build whose directory was left: to be given to `giveUpBuildDirectory`. Else "". */
  readonly workspace: string;
  readonly resources: Resources;
  /** Sealed only if the builder exited with 0. */
  readonly outputs: BuiltOutput[];
  /** All outputs lie in the store under their names already, and the view was given back. */
  readonly isMoved: boolean;
  /** Limits that were asked for and that this machine does not let us enforce. */
  readonly unenforced: readonly UnenforceableLimit[];
  /** By name and errno; only if the spec asks for the log. */
  readonly refusedCalls: RefusedCall[];
  /** How long each part of the launcher's work took. */
  readonly timingsMicroseconds: Record<string, number>;
}

export function decodeBuildAnswer(body: Uint8Array): DecodedBuildAnswer {
  const reader = new MessageReader(body);
  const withoutLimit = readEnding(reader);
  const uid = reader.u32();
  const view = reader.text();
  const resources = {
    cpuUserMicroseconds: reader.count(),
    cpuSystemMicroseconds: reader.count(),
    maxResidentBytes: reader.count(),
    wallMicroseconds: reader.count(),
    readBytes: reader.count(),
    writtenBytes: reader.count(),
  };
  const isMoved = reader.u8() !== 0;
  const met = { limit: reader.u64(), reached: reader.u64() };
  const ending = "limit" in withoutLimit ? { ...withoutLimit, ...met } : withoutLimit;
  const bits = reader.u32();
  const unenforced = bits === 0 ? [] : unenforceableLimits.filter((_, bit) => (bits & (1 << bit)) !== 0);
  const peakMemoryBytes = reader.count();
  const mostProcesses = reader.count();
  const workspace = reader.text();
  const readTimings = reader.deferNumbers();
  const outputs = reader.list(() => readOutput(reader));
  const refusedCalls = reader.list(() => ({ call: reader.text(), ...readErrno(reader), count: reader.count() }));
  return {
    ...{ ending, uid, view, workspace, outputs, isMoved, unenforced, refusedCalls },
    resources: {
      ...resources,
      ...(peakMemoryBytes > 0 && { peakMemoryBytes }),
      ...(mostProcesses > 0 && { mostProcesses }),
    },
    get timingsMicroseconds() {
      return readTimings();
    },
  };
}

const firstLimitKind = 8;

function readEnding(reader: MessageReader): Ending {
  const kind = reader.u8();
  const value = reader.u32();
  if (kind === 0) {
    passOverCall(reader);
    return { kind: "exited", code: value };
  }
  const call = readCall(reader);
  switch (kind) {
    case 1:
      return { kind: "signalled", signal: value };
    case 2:
      return { kind: "timed-out" };
    case 3:
      return { kind: "silent" };
    case 4:
      return { kind: "log-limit" };
    case 5:
      return { kind: "cancelled" };
    case 6:
      return { kind: "setup-failed", ...call };
    case 7:
      return { kind: "exec-failed", ...call };
    default: {
      const limitKind = limitKinds[kind - firstLimitKind];
      // The numbers come further behind.
      return limitKind === undefined ? { kind: "not-enforced" } : { kind: limitKind, limit: 0n, reached: 0n };
    }
  }
}

function passOverCall(reader: MessageReader): void {
  reader.text();
  reader.u32();
  reader.text();
}

function readCall(reader: MessageReader): FailedCall {
  const step = reader.text();
  const errno = reader.u32();
  return { step, errno, errnoName: errnoNameOf(errno), path: reader.text() };
}

const readErrno = (reader: MessageReader) => ({ errnoName: errnoNameOf(reader.u32()) });

function readOutput(reader: MessageReader): BuiltOutput {
  const name = reader.text();
  const kind = reader.u8();
  if (kind === 0) return { name, kind: "missing" };
  if (kind === 1) return { name, kind: "refused", code: reader.text(), errno: reader.u32(), path: reader.text() };
  return { name, kind: "sealed", ...readSealedOutput(reader) };
}

export function readSealedOutput(reader: MessageReader): SealedOutput {
  const stagingName = reader.text();
  const narHash = reader.bytes();
  const narSize = reader.u64();
  const references = reader.list(() => reader.text());
  const hash = reader.bytes();
  const moduloSelfHash = reader.bytes();
  return {
    stagingName,
    narHash,
    narSize,
    references,
    ...(hash.length > 0 && { hash }),
    ...(moduloSelfHash.length > 0 && { moduloSelfHash }),
  };
}

export function decodeFailure(body: Uint8Array): NativeFailure {
  const reader = new MessageReader(body);
  return { code: reader.text(), step: reader.text(), errno: reader.u32(), path: reader.bytes(), offset: reader.u64() };
}

/** What a jail that runs has taken so far. */
export interface JailUsage {
  readonly cpuMicroseconds: number;
  /** Resident; pages that several of its processes share count for each. */
  readonly memoryBytes: number;
}

/** By the numbers of the orders. */
export function decodeUsages(body: Uint8Array): (JailUsage & { readonly order: number })[] {
  const reader = new MessageReader(body);
  return reader.list(() => ({
    order: Number(reader.u64()),
    cpuMicroseconds: Number(reader.u64()),
    memoryBytes: Number(reader.u64()),
  }));
}
