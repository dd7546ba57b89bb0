/**
 * The messages of the msgpack protocol. Both sides begin with a hello. Then the client sends requests, as many as it
 * likes at once, and each is answered by one result or error with its id; chunks and events of a request come before
 * its answer. A stream of bytes begins with a window of `limits.windowBytes`; its reader extends it with credit.
 */
import { codecOf, noMatch } from "./compiled-codec.ts";
import { ProtocolError } from "./errors.ts";
import { frameLimitBytes } from "./frames.ts";
import {
  absentOr,
  boolean,
  byKind,
  list,
  object,
  oneOf,
  record,
  type Schema,
  text,
  unknown,
  type ValueOf,
} from "./schema.ts";
import { byteString, count, storeDirectory } from "./wire-values.ts";

/** Another major: the two cannot talk. A higher minor: messages and fields were added that the other one may not know. */
export const protocolVersion = { major: 1, minor: 1 } as const;

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

const id = count;

export const messages = {
  hello: {
    from: "both",
    does: "The first message of each side. The daemon's tells the client's role, its store and its limits.",
    schema: object({
      kind: oneOf("hello"),
      protocol: object({ major: count, minor: count }),
      version: text(),
      buildId: text(),
      features: list(text()),
      daemon: absentOr(
        object({
          role: oneOf("trusted", "any"),
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
    schema: object({ kind: oneOf("request"), id, method: text({ maximum: 100 }), params: unknown }),
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
    schema: object({ kind: oneOf("result"), id, value: unknown }),
    example: { kind: "result", id: 7, value: null },
  },
  error: {
    from: "daemon",
    does: "The other answer to a request. Without an id it is about the connection, which is then closed.",
    schema: object({
      kind: oneOf("error"),
      id: absentOr(id),
      code: text(),
      message: text(),
      hint: text(),
      details: record,
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
    schema: object({ kind: oneOf("cancel"), id }),
    example: { kind: "cancel", id: 7 },
  },
  event: {
    from: "daemon",
    does: "One event of a build. Log bytes are left out, and a line says how many, for a client that reads too slowly.",
    schema: object({ kind: oneOf("event"), id, event: unknown }),
    example: { kind: "event", id: 7, event: { kind: "plan", toBuild: [], alreadyValid: 1 } },
  },
  chunk: {
    from: "both",
    does: "The next bytes of a request's upload or download; never more than the window still allows.",
    schema: object({ kind: oneOf("chunk"), id, bytes: byteString }),
    example: { kind: "chunk", id: 7, bytes: "(bin)" },
  },
  credit: {
    from: "both",
    does: "The reader of a stream has used so many bytes: the window grows by them.",
    schema: object({ kind: oneOf("credit"), id, bytes: count }),
    example: { kind: "credit", id: 7, bytes: 262144 },
  },
  end: {
    from: "client",
    does: "The upload is complete. (A download is complete when its result comes.)",
    schema: object({ kind: oneOf("end"), id }),
    example: { kind: "end", id: 7 },
  },
  part: {
    from: "both",
    does: "A piece of a message that is longer than a frame may be. Parts follow each other directly; the last one completes it.",
    schema: object({ kind: oneOf("part"), bytes: byteString, last: boolean }),
    example: { kind: "part", bytes: "(bin)", last: true },
  },
} as const;

export type MessageKind = keyof typeof messages;
export type MessageOf<Kind extends MessageKind> = ValueOf<(typeof messages)[Kind]["schema"]>;
export type Message = { [Kind in MessageKind]: MessageOf<Kind> }[MessageKind];

const message = byKind("kind", ...Object.values(messages).map((row) => row.schema)) as Schema<Message>;
const parser = codecOf(message);

/** Throws PROTOCOL_MESSAGE_INVALID. */
export function parseMessage(value: unknown): Message {
  const parsed = parser.decode(value);
  if (parsed !== noMatch) return parsed;
  const kind = typeof value === "object" && value !== null && "kind" in value ? value.kind : undefined;
  const reason =
    kind === undefined ? "it has no kind" : `its fields are not those of the kind ${JSON.stringify(String(kind))}`;
  throw new ProtocolError("PROTOCOL_MESSAGE_INVALID", { reason });
}
