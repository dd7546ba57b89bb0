/**
 * The values of the msgpack protocol: how each value of the vocabulary lies in a message, and how it is checked when
 * it comes out of one. A codec's "decode" makes the value, its "encode" what is sent. Sets are lists, dictionaries
 * with keys of others are lists of pairs, bigints are 64-bit integers, what is absent is left out.
 */
import type { BuildRecord } from "../../derivations/build-record.ts";
import type { BuildResult, KeptDirectory } from "../../derivations/build-result.ts";
import type { ContentAddress } from "../../derivations/content-address.ts";
import type { DerivedPath } from "../../derivations/derived-path.ts";
import type { ErrorData } from "../../derivations/error.ts";
import { type Hash, type HashAlgorithm, hashSizes, makeSha256, type Sha256 } from "../../derivations/hash.ts";
import type { NarListing } from "../../derivations/nar/listing.ts";
import type { PathInfo } from "../../derivations/path-info.ts";
import {
  assertStorePathName,
  hashPartLength,
  nameLengthLimit,
  parseStoreDirectory,
  parseStorePath,
  type StoreDirectory,
  type StorePath,
} from "../../derivations/store-path.ts";
import { findings, type Verdict } from "../../derivations/verdict.ts";
import type { BuildLimits } from "./build-limits.ts";
import { ProtocolError } from "./errors.ts";
import type { BuildEvent } from "./events.ts";
import { plainDetails } from "./plain-details.ts";
import {
  absentOr,
  boolean,
  byKind,
  codec,
  identity,
  integer,
  lazy,
  list,
  named,
  number,
  object,
  oneOf,
  record,
  type Schema,
  text,
  tuple,
  union,
} from "./schema.ts";
import type { AddMethod, GcResult, PathDetails, Root, Status } from "./service.ts";

/** Lists and texts are bounded by the message that holds them; this is for those that have a bound of their own. */
const shortText = text({ maximum: 4096 });

export const storePath: Schema<StorePath> = named(
  codec(text({ maximum: hashPartLength + 1 + nameLengthLimit }), { decode: parseStorePath, encode: identity<string> }),
  { name: "store path", form: 'text "HASH-NAME", without the store directory' },
);

export const storeDirectory: Schema<StoreDirectory> = named(
  codec(shortText, { decode: parseStoreDirectory, encode: identity<string> }),
  { name: "store directory", form: 'text such as "/cloister/store"' },
);

/** A file of the client's machine. */
export const clientPath = named(text({ maximum: 4095, check: (path) => path.startsWith("/") }), {
  name: "client path",
  form: "text, absolute",
  clientPath: true,
});

/** Its decoder throws the name's own error, which says more than that it does not fit. */
export const objectName = named(codec(text({ maximum: nameLengthLimit }), { decode: checkName, encode: identity }), {
  name: "name",
  form: "text that can be a store path's name",
});

export const byteString: Schema<Uint8Array> = named({ def: { type: "bytes" } }, { name: "bytes", form: "bin" });

/** A small one may come as any integer type; it is sent as a 64-bit integer. */
export const size: Schema<bigint> = named(
  { def: { type: "bigint" } },
  {
    name: "size",
    form: "integer of up to 64 bits, not negative",
  },
);

/** Other languages write a small integer as they like, so one of 64 bits is taken as well. */
export const count: Schema<number> = named(
  { def: { type: "count" } },
  {
    name: "count",
    form: "integer below 2^53, not negative",
  },
);

export const narHash: Schema<Sha256> = named(codec(byteString, { decode: makeSha256, encode: (hash) => hash.bytes }), {
  name: "sha256",
  form: "bin of 32 bytes",
});

/** Its digest as bytes: base 32 takes longer than all the rest of a path info. */
export const contentAddress: Schema<ContentAddress> = codec(
  object({
    method: oneOf("flat", "recursive", "text"),
    algorithm: oneOf("md5", "sha1", "sha256", "sha512"),
    digest: byteString,
  }),
  {
    decode: ({ method, algorithm, digest }) => ({ method, hash: makeHash(algorithm, digest) }),
    encode: ({ method, hash }) => ({ method, algorithm: hash.algorithm, digest: hash.bytes }),
  },
);

export const storePathSet: Schema<ReadonlySet<StorePath>> = named(
  codec(list(storePath), { decode: (paths) => new Set(paths), encode: (paths) => [...paths] }),
  { name: "store paths", form: "list of store path, each once" },
);

export const hashPart = named(text({ check: (digits) => digits.length === hashPartLength }), {
  name: "hash part",
  form: "text, the 32 digits before a store path's name",
});

export const errorData: Schema<ErrorData> = codec(
  object({ code: text(), message: text(), hint: text(), details: record }),
  { decode: identity, encode: (error) => ({ ...error, details: plainDetails(error.details) }) },
);

const contentFields = {
  path: storePath,
  narHash,
  narSize: size,
  references: storePathSet,
  deriver: absentOr(storePath),
  ultimate: boolean,
  signatures: list(shortText),
  contentAddress: absentOr(contentAddress),
};

/** What a sender knows of an object; when it was registered is the receiver's to say. */
export const newPathInfo: Schema<Omit<PathInfo, "registeredAtSeconds">> = object(contentFields);

export const pathInfo: Schema<PathInfo> = object({ ...contentFields, registeredAtSeconds: count });

export const status: Schema<Status> = object({
  version: text(),
  buildId: text(),
  pid: count,
  startedAtMs: number,
  storeDirectory,
  realStoreDirectory: text(),
  stateDirectory: text(),
  strength: oneOf("range", "root", "single"),
  system: text(),
  maxJobs: count,
  runningBuilds: count,
  waitingBuilds: count,
  connections: count,
  validPaths: count,
  sizes: absentOr(
    object({ storeBytes: number, databaseBytes: number, logBytes: number, moreLogs: boolean, freeBytes: number }),
  ),
});

export const addMethod: Schema<AddMethod> = byKind(
  "kind",
  object({ kind: oneOf("source"), references: list(storePath) }),
  object({ kind: oneOf("fixed"), address: contentAddress, references: list(storePath) }),
);

export const derivedPath: Schema<DerivedPath> = byKind(
  "kind",
  object({ kind: oneOf("opaque"), path: storePath }),
  object({ kind: oneOf("built"), drvPath: storePath, outputs: union(oneOf("all"), list(objectName)) }),
);

const verdict: Schema<Verdict> = object({
  finding: oneOf(...findings),
  rounds: count,
  varied: list(text()),
  causes: list(text()),
  outputs: dictionary(object({ path: storePath, narHash: text(), otherNarHash: text() })),
});

const kept: Schema<KeptDirectory> = object({
  sizeBytes: count,
  problem: absentOr(text()),
  leftOut: absentOr(count),
  leftOutNames: absentOr(list(text())),
});

const refusedCalls = list(object({ call: text(), errno: text(), count: number }));

export const buildResult: Schema<BuildResult> = object({
  drvPath: storePath,
  status: oneOf("built", "already-valid", "failed", "dependency-failed", "cancelled"),
  outputs: dictionary(storePath),
  error: absentOr(errorData),
  recordId: absentOr(text()),
  wallMs: absentOr(number),
  refusedCalls: absentOr(refusedCalls),
  verdict: absentOr(verdict),
  kept: absentOr(kept),
});

export const buildEvent: Schema<BuildEvent> = byKind(
  "kind",
  object({
    kind: oneOf("plan"),
    toBuild: list(object({ drvPath: storePath, name: text(), expectedWallMs: absentOr(number) })),
    alreadyValid: count,
    requestId: absentOr(text()),
  }),
  object({ kind: oneOf("build-started"), drvPath: storePath, name: text(), recordId: text() }),
  object({ kind: oneOf("build-log"), drvPath: storePath, name: text(), bytes: byteString }),
  object({
    kind: oneOf("build-finished"),
    drvPath: storePath,
    name: text(),
    result: buildResult,
    lastLogLines: list(byteString),
  }),
);

export const buildRecord: Schema<BuildRecord> = object({
  id: text(),
  drvPath: storePath,
  name: text(),
  user: absentOr(object({ uid: count })),
  status: oneOf("building", "sealing", "done", "failed", "cancelled"),
  startedAtMs: number,
  stoppedAtMs: absentOr(number),
  command: list(text()),
  environment: dictionary(text()),
  inputs: list(storePath),
  world: absentOr(storePath),
  strength: text(),
  exitStatus: absentOr(integer),
  signal: absentOr(integer),
  error: absentOr(errorData),
  outputs: dictionary(object({ path: storePath, narHash: text(), narSize: number })),
  resources: object({
    cpuUserMicroseconds: number,
    cpuSystemMicroseconds: number,
    maxResidentBytes: number,
    wallMicroseconds: number,
    readBytes: absentOr(number),
    writtenBytes: absentOr(number),
    peakMemoryBytes: absentOr(number),
    mostProcesses: absentOr(number),
  }),
  notEnforced: absentOr(list(text())),
  offline: absentOr(text()),
  logFile: absentOr(text()),
  refusedCalls: absentOr(refusedCalls),
  verdict: absentOr(verdict),
  kept: absentOr(kept),
});

export const pathDetails: Schema<PathDetails> = object({
  info: pathInfo,
  realPath: text(),
  referrers: list(storePath),
  validDerivers: list(storePath),
  closureBytes: size,
  closurePaths: count,
  record: absentOr(buildRecord),
});

const limit = absentOr(count);

/** What is absent or 0 is no limit. */
export const buildLimits: Schema<BuildLimits> = object({
  memoryBytes: limit,
  swapBytes: limit,
  cpuThousandths: limit,
  cpuWeight: limit,
  processes: limit,
  ioWeight: limit,
  readBytesPerSecond: limit,
  writtenBytesPerSecond: limit,
  buildDirectoryBytes: limit,
  buildDirectoryInodes: limit,
  logBytes: limit,
  timeoutMs: limit,
  silenceMs: limit,
});

export const narListing: Schema<NarListing> = named(
  byKind(
    "type",
    object({
      type: oneOf("regular"),
      size: number,
      executable: absentOr(oneOf(true)),
      narOffset: absentOr(number),
    }),
    object({ type: oneOf("symlink"), target: text() }),
    object({ type: oneOf("directory"), entries: dictionary(lazy(() => narListing)) }),
  ),
  {
    name: "listing",
    form: 'map: type "regular" (size, executable, narOffset), "symlink" (target) or "directory" (entries: dictionary of listing)',
  },
);

export const root: Schema<Root> = object({
  kind: oneOf("permanent", "indirect", "lease"),
  from: text(),
  path: storePath,
  unreadable: boolean,
});

export const gcResult: Schema<GcResult> = object({ deleted: list(storePath), freedBytes: size, alive: count });

/** Keys are others' words, such as the ids of outputs: pairs in the message, an object without prototype here. */
export function dictionary<Value>(value: Schema<Value>): Schema<Readonly<Record<string, Value>>> {
  const pairs = list(tuple(text(), value));
  const schema = codec(pairs, {
    decode: (sent) => {
      const made: Record<string, Value> = Object.create(null);
      for (const [key, entry] of sent) made[key] = entry;
      return made as Readonly<Record<string, Value>>;
    },
    encode: (dictionaryOf) => Object.entries(dictionaryOf),
  });
  return named(schema, { name: "dictionary", form: "list of pairs [text, value]" });
}

function checkName(name: string): string {
  assertStorePathName(name);
  return name;
}

function makeHash(algorithm: HashAlgorithm, bytes: Uint8Array): Hash {
  const wanted = hashSizes[algorithm];
  if (bytes.length !== wanted)
    throw new ProtocolError("PROTOCOL_MESSAGE_INVALID", {
      reason: `a ${algorithm} digest has ${wanted} bytes, not ${bytes.length}`,
    });
  return { algorithm, bytes };
}
