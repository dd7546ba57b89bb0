/**
 * The values of the msgpack protocol: how each value of the vocabulary lies in a message, and how it is checked when
 * it comes out of one. A codec's "decode" makes the value, its "encode" what is sent. Sets are lists, dictionaries
 * with keys of others are lists of pairs, bigints are 64-bit integers, what is absent is left out.
 */
import { z } from "zod";
import type { BuildRecord, BuildRecordStatus } from "../../derivations/build-record.ts";
import type { BuildResult, BuildStatus } from "../../derivations/build-result.ts";
import type { ContentAddress } from "../../derivations/content-address.ts";
import { parseContentAddress, printContentAddress } from "../../derivations/content-address.ts";
import type { DerivedPath } from "../../derivations/derived-path.ts";
import type { ErrorData } from "../../derivations/error.ts";
import { makeSha256, type Sha256 } from "../../derivations/hash.ts";
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
import { identity } from "./compiled-codec.ts";
import type { BuildEvent } from "./events.ts";
import { plainDetails } from "./plain-details.ts";
import type { AddMethod, GcResult, PathDetails, Root, Status } from "./service.ts";

/** What docs/protocol.md says of a value, and what the tidy checks look for in the messages. */
export interface WireForm {
  readonly name: string;
  readonly form: string;
  /** It names a file of the client's machine. Only `addIndirectRoot` may have one: it is readlink'ed, never read. */
  readonly clientPath?: true;
}

export const wireForms = z.registry<WireForm>();

const storePathLimit = hashPartLength + 1 + nameLengthLimit;

/** Lists and texts are bounded by the message that holds them; this is for those that have a bound of their own. */
const shortText = z.string().max(4096);

export const storePath = z
  .codec(z.string().max(storePathLimit), z.custom<StorePath>(), {
    decode: (text) => parseStorePath(text),
    encode: identity,
  })
  .register(wireForms, { name: "store path", form: 'text "HASH-NAME", without the store directory' });

export const storeDirectory = z
  .codec(shortText, z.custom<StoreDirectory>(), { decode: (text) => parseStoreDirectory(text), encode: identity })
  .register(wireForms, { name: "store directory", form: 'text such as "/cloister/store"' });

/** A file of the client's machine. */
export const clientPath = z
  .string()
  .max(4095)
  .startsWith("/")
  .register(wireForms, { name: "client path", form: "text, absolute", clientPath: true });

export const objectName = z
  .string()
  .max(nameLengthLimit)
  .refine(canBeName)
  .register(wireForms, { name: "name", form: "text that can be a store path's name" });

export const byteString = z
  .custom<Uint8Array>((value) => value instanceof Uint8Array, "bytes are expected")
  .register(wireForms, { name: "bytes", form: "bin" });

/** Not negative. A small one may come as any integer type; it is sent as a 64-bit integer. */
export const size = z
  .codec(
    z.union([z.bigint(), z.int()]),
    z
      .bigint()
      .min(0n)
      .max(2n ** 64n - 1n),
    { decode: (value) => BigInt(value), encode: identity },
  )
  .register(wireForms, { name: "size", form: "integer of up to 64 bits, not negative" });

/** Not negative, below 2^53. Other languages write a small integer as they like, so 64 bits are taken as well. */
export const count = z
  .codec(z.union([z.number(), z.bigint()]), z.int().min(0), { decode: Number, encode: identity })
  .register(wireForms, { name: "count", form: "integer below 2^53, not negative" });

export const narHash = z
  .codec(byteString, z.custom<Sha256>(), { decode: makeSha256, encode: (hash) => hash.bytes })
  .register(wireForms, { name: "sha256", form: "bin of 32 bytes" });

export const contentAddress = z
  .codec(shortText, z.custom<ContentAddress>(), {
    decode: (text) => parseContentAddress(text),
    encode: (address) => printContentAddress(address),
  })
  .register(wireForms, { name: "content address", form: 'text such as "fixed:r:sha256:BASE32"' });

export const storePathSet = z
  .codec(z.array(storePath), z.custom<ReadonlySet<StorePath>>(), {
    decode: (paths) => new Set(paths),
    encode: (paths) => [...paths],
  })
  .register(wireForms, { name: "store paths", form: "list of store path, each once" });

export const hashPart = z
  .string()
  .length(hashPartLength)
  .register(wireForms, { name: "hash part", form: "text, the 32 digits before a store path's name" });

export const errorData = z.codec(
  z.object({ code: z.string(), message: z.string(), hint: z.string(), details: z.record(z.string(), z.unknown()) }),
  z.custom<ErrorData>(),
  { decode: identity, encode: (error) => ({ ...error, details: plainDetails(error.details) }) },
);

const contentFields = {
  path: storePath,
  narHash,
  narSize: size,
  references: storePathSet,
  deriver: absentOr(storePath),
  ultimate: z.boolean(),
  signatures: z.array(shortText),
  contentAddress: absentOr(contentAddress),
};

/** What a sender knows of an object; when it was registered is the receiver's to say. */
export const newPathInfo: z.ZodType<Omit<PathInfo, "registeredAtSeconds">> = z.object(contentFields);

export const pathInfo: z.ZodType<PathInfo> = z.object({ ...contentFields, registeredAtSeconds: count });

const strength = z.enum(["range", "root", "single"]);

export const status: z.ZodType<Status> = z.object({
  version: z.string(),
  buildId: z.string(),
  pid: count,
  startedAtMs: z.number(),
  storeDirectory,
  realStoreDirectory: z.string(),
  stateDirectory: z.string(),
  strength,
  system: z.string(),
  maxJobs: count,
  runningBuilds: count,
  waitingBuilds: count,
  connections: count,
  validPaths: count,
});

export const addMethod: z.ZodType<AddMethod> = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("source"), references: z.array(storePath) }),
  z.object({ kind: z.literal("fixed"), address: contentAddress, references: z.array(storePath) }),
]);

export const derivedPath: z.ZodType<DerivedPath> = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("opaque"), path: storePath }),
  z.object({
    kind: z.literal("built"),
    drvPath: storePath,
    outputs: z.union([z.literal("all"), z.array(objectName)]),
  }),
]);

export const buildResult: z.ZodType<BuildResult> = z.object({
  drvPath: storePath,
  status: z.enum(["built", "already-valid", "failed", "dependency-failed", "cancelled"] satisfies BuildStatus[]),
  outputs: dictionary(storePath),
  error: absentOr(errorData),
  recordId: absentOr(z.string()),
  wallMs: absentOr(z.number()),
});

export const buildEvent: z.ZodType<BuildEvent> = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("plan"),
    toBuild: z.array(z.object({ drvPath: storePath, name: z.string() })),
    alreadyValid: count,
  }),
  z.object({ kind: z.literal("build-started"), drvPath: storePath, name: z.string(), recordId: z.string() }),
  z.object({ kind: z.literal("build-log"), drvPath: storePath, name: z.string(), bytes: byteString }),
  z.object({
    kind: z.literal("build-finished"),
    drvPath: storePath,
    name: z.string(),
    result: buildResult,
    lastLogLines: z.array(byteString),
  }),
]);

export const buildRecord: z.ZodType<BuildRecord> = z.object({
  id: z.string(),
  drvPath: storePath,
  name: z.string(),
  user: absentOr(z.object({ uid: count })),
  status: z.enum(["building", "sealing", "done", "failed", "cancelled"] satisfies BuildRecordStatus[]),
  startedAtMs: z.number(),
  stoppedAtMs: absentOr(z.number()),
  command: z.array(z.string()),
  environment: dictionary(z.string()),
  inputs: z.array(storePath),
  world: absentOr(storePath),
  strength: z.string(),
  exitStatus: absentOr(z.int()),
  signal: absentOr(z.int()),
  error: absentOr(errorData),
  outputs: dictionary(z.object({ path: storePath, narHash: z.string(), narSize: z.number() })),
  resources: z.object({
    cpuUserMicroseconds: z.number(),
    cpuSystemMicroseconds: z.number(),
    maxResidentBytes: z.number(),
    wallMicroseconds: z.number(),
  }),
  logFile: absentOr(z.string()),
});

export const pathDetails: z.ZodType<PathDetails> = z.object({
  info: pathInfo,
  realPath: z.string(),
  referrers: z.array(storePath),
  validDerivers: z.array(storePath),
  closureBytes: size,
  closurePaths: count,
  record: absentOr(buildRecord),
});

export const narListing: z.ZodType<NarListing> = z
  .discriminatedUnion("type", [
    z.object({
      type: z.literal("regular"),
      size: z.number(),
      executable: absentOr(z.literal(true)),
      narOffset: absentOr(z.number()),
    }),
    z.object({ type: z.literal("symlink"), target: z.string() }),
    z.object({
      type: z.literal("directory"),
      get entries() {
        return dictionary<NarListing, unknown>(narListing);
      },
    }),
  ])
  .register(wireForms, {
    name: "listing",
    form: 'map: type "regular" (size, executable, narOffset), "symlink" (target) or "directory" (entries: pairs of name and listing)',
  });

export const root: z.ZodType<Root> = z.object({
  kind: z.enum(["permanent", "indirect", "lease"]),
  from: z.string(),
  path: storePath,
  unreadable: z.boolean(),
});

export const gcResult: z.ZodType<GcResult> = z.object({ deleted: z.array(storePath), freedBytes: size, alive: count });

/**
 * A field that is left out where there is nothing to say. Not zod's own exactOptional, which lets a codec see the
 * absent value; what is undefined is not sent, so that both are the same.
 */
export function absentOr<Schema extends z.ZodType>(schema: Schema): z.ZodExactOptional<Schema> {
  return schema.optional() as unknown as z.ZodExactOptional<Schema>;
}

/** A list as our own types have it. */
export function list<Value>(value: z.ZodType<Value>): z.ZodType<readonly Value[]> {
  return z.array(value);
}

/** Keys are others' words, such as the ids of outputs: pairs in the message, an object without prototype here. */
export function dictionary<Value, Sent>(value: z.ZodType<Value, Sent>) {
  return z
    .codec(z.array(z.tuple([z.string(), value])), z.custom<Readonly<Record<string, Value>>>(), {
      decode: (pairs) => {
        const record: Record<string, Value> = Object.create(null);
        for (const [key, entry] of pairs) record[key] = entry as Value;
        return record;
      },
      encode: (record) => Object.entries(record) as [string, never][],
    })
    .register(wireForms, { name: "dictionary", form: "list of pairs [text, value]" });
}

/** Throws the name's own error, which says more than a yes or no. */
function canBeName(name: string): boolean {
  assertStorePathName(name);
  return true;
}
