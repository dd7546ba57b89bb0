/**
 * The messages of the msgpack protocol. Both sides begin with a hello. Then the client sends requests, as many as it
 * likes at once, and each is answered by one result or error with its id; chunks and events of a request come before
 * its answer. A stream of bytes begins with a window of `limits.windowBytes`; its reader extends it with credit.
 */
import { z } from "zod";
import { codecOf } from "./compiled-codec.ts";
import { ProtocolError } from "./errors.ts";
import { frameLimitBytes } from "./frames.ts";
import { absentOr, byteString, count, storeDirectory } from "./wire-values.ts";

/** Another major: the two cannot talk. A higher minor: messages and fields were added that the other one may not know. */
export const protocolVersion = { major: 1, minor: 0 } as const;

/** What either side may count on; a later minor adds names. */
export const protocolFeatures: readonly string[] = ["parts", "streams", "events", "cancel"];

export const limits = {
  frameBytes: frameLimitBytes,
  /** A message sent in parts. */
  messageBytes: 32 * 1024 * 1024,
  /** A client's limit for the answer to one request that is sent in parts. */
  answerBytes: 512 * 1024 * 1024,
  openRequests: 1000,
  windowBytes: 1024 * 1024,
  /** What we put into one chunk or part. A reader takes any size that fits a frame. */
  chunkBytes: 64 * 1024 - 64,
} as const;

const id = z
  .int()
  .min(0)
  .max(2 ** 32 - 1);

export const messages = {
  hello: {
    from: "both",
    does: "The first message of each side. The daemon's tells the client's role, its store and its limits.",
    schema: z.object({
      kind: z.literal("hello"),
      protocol: z.object({ major: count, minor: count }),
      version: z.string(),
      buildId: z.string(),
      features: z.array(z.string()),
      daemon: absentOr(
        z.object({
          role: z.enum(["trusted", "any"]),
          pid: count,
          storeDirectory,
          openRequests: count,
          windowBytes: count,
          messageBytes: count,
        }),
      ),
    }),
    example: {
      kind: "hello",
      protocol: protocolVersion,
      version: "0.1.0",
      buildId: "4b1c…",
      features: protocolFeatures,
    },
  },
  request: {
    from: "client",
    does: "Asks for a method; ids are the client's to choose, and free again after the answer.",
    schema: z.object({ kind: z.literal("request"), id, method: z.string().max(100), params: z.unknown() }),
    example: {
      kind: "request",
      id: 7,
      method: "queryPathInfo",
      params: { path: "y8gkqqxcgh8s2hvkqr5xq5n8jyjbc5ry-hello-1.0" },
    },
  },
  result: {
    from: "daemon",
    does: "The answer to a request. After it the id's streams are over.",
    schema: z.object({ kind: z.literal("result"), id, value: z.unknown() }),
    example: { kind: "result", id: 7, value: null },
  },
  error: {
    from: "daemon",
    does: "The other answer to a request. Without an id it is about the connection, which is then closed.",
    schema: z.object({
      kind: z.literal("error"),
      id: absentOr(id),
      code: z.string(),
      message: z.string(),
      hint: z.string(),
      details: z.record(z.string(), z.unknown()),
    }),
    example: {
      kind: "error",
      id: 7,
      code: "PROTOCOL_METHOD_UNKNOWN",
      message: 'the daemon has no method "fly"',
      hint: "The daemon may be older than the client: compare `cloister status` and `cloister --version`",
      details: { method: "fly" },
    },
  },
  cancel: {
    from: "client",
    does: "The client no longer wants the answer, which comes all the same: an error, or a result that was already on its way.",
    schema: z.object({ kind: z.literal("cancel"), id }),
    example: { kind: "cancel", id: 7 },
  },
  event: {
    from: "daemon",
    does: "One event of a build. Log bytes are left out, and a line says how many, for a client that reads too slowly.",
    schema: z.object({ kind: z.literal("event"), id, event: z.unknown() }),
    example: { kind: "event", id: 7, event: { kind: "plan", toBuild: [], alreadyValid: 1 } },
  },
  chunk: {
    from: "both",
    does: "The next bytes of a request's upload or download; never more than the window still allows.",
    schema: z.object({ kind: z.literal("chunk"), id, bytes: byteString }),
    example: { kind: "chunk", id: 7, bytes: "(bin)" },
  },
  credit: {
    from: "both",
    does: "The reader of a stream has used so many bytes: the window grows by them.",
    schema: z.object({ kind: z.literal("credit"), id, bytes: count }),
    example: { kind: "credit", id: 7, bytes: 262144 },
  },
  end: {
    from: "client",
    does: "The upload is complete. (A download is complete when its result comes.)",
    schema: z.object({ kind: z.literal("end"), id }),
    example: { kind: "end", id: 7 },
  },
  part: {
    from: "both",
    does: "A piece of a message that is longer than a frame may be. Parts follow each other directly; the last one completes it.",
    schema: z.object({ kind: z.literal("part"), bytes: byteString, last: z.boolean() }),
    example: { kind: "part", bytes: "(bin)", last: true },
  },
} as const;

export type MessageKind = keyof typeof messages;
export type MessageOf<Kind extends MessageKind> = z.output<(typeof messages)[Kind]["schema"]>;
export type Message = { [Kind in MessageKind]: MessageOf<Kind> }[MessageKind];

const message = z.discriminatedUnion(
  "kind",
  Object.values(messages).map((row) => row.schema) as unknown as [(typeof messages)["hello"]["schema"]],
) as unknown as z.ZodType<Message>;

/** Throws PROTOCOL_MESSAGE_INVALID. */
export function parseMessage(value: unknown): Message {
  try {
    return codecOf(message).decode(value);
  } catch (error) {
    if (!(error instanceof z.ZodError)) throw error;
    const { field, reason } = describeIssue(error);
    throw new ProtocolError("PROTOCOL_MESSAGE_INVALID", { reason: field === "" ? reason : `${field}: ${reason}` });
  }
}

/** The first thing that zod has to say, for our own errors. */
export function describeIssue(error: z.ZodError): { readonly field: string; readonly reason: string } {
  const issue = error.issues[0];
  return { field: issue?.path.map(String).join(".") ?? "", reason: issue?.message ?? "it has another form" };
}
