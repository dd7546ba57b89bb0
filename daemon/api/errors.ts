/** The errors of the msgpack protocol: what either side can find wrong in what the other one sent. */
import { errorClass, row } from "../../derivations/error.ts";

const peerHint = "The program at the other end does not speak this protocol: compare it with docs/protocol.md";
const reportHint = "This is a mistake in cloister: please report it together with the daemon's log";

export const protocolErrors = {
  PROTOCOL_FRAME_TOO_LONG: row(
    (d: { bytes: number; limit: number }) => `a frame of ${d.bytes} bytes was announced, but ${d.limit} are the limit`,
    peerHint,
  ),
  PROTOCOL_FRAME_INVALID: row(
    (d: { offset: number; reason: string }) => `a frame cannot be decoded: at byte ${d.offset} ${d.reason}`,
    peerHint,
  ),
  PROTOCOL_MESSAGE_INVALID: row((d: { reason: string }) => `a message is not valid: ${d.reason}`, peerHint),
  PROTOCOL_MESSAGE_TOO_LONG: row(
    (d: { bytes: number; limit: number }) =>
      `a message of ${d.bytes} bytes or more was sent in parts; ${d.limit} are the limit`,
    "Ask for less at once, or send it in several requests",
  ),
  PROTOCOL_VERSION_UNSUPPORTED: row(
    (d: { ours: string; theirs: string; older: "client" | "daemon" }) =>
      `the client and the daemon do not speak the same protocol: this side has version ${d.ours}, the other one ${d.theirs}`,
    (d) => `Update the ${d.older}, which is the older one of the two`,
  ),
  PROTOCOL_METHOD_UNKNOWN: row(
    (d: { method: string }) => `the daemon has no method ${JSON.stringify(d.method)}`,
    "The daemon may be older than the client: compare `cloister status` and `cloister --version`",
  ),
  PROTOCOL_PARAMS_INVALID: row(
    (d: { method: string; field: string; reason: string }) =>
      `the request ${d.method} is not valid${d.field === "" ? "" : ` at ${d.field}`}: ${d.reason}`,
    "docs/protocol.md has the fields of each request",
  ),
  PROTOCOL_RESULT_INVALID: row(
    (d: { method: string }) => `the daemon's answer to ${d.method} is of another form than the protocol says`,
    "The daemon may be of another version: compare `cloister status` and `cloister --version`",
  ),
  PROTOCOL_TOO_MANY_REQUESTS: row(
    (d: { limit: number }) => `more than ${d.limit} requests are open on one connection`,
    "Wait for answers before sending more requests, or open another connection",
  ),
  PROTOCOL_WINDOW_EXCEEDED: row(
    (d: { id: number; limit: number }) => `the stream of request ${d.id} went beyond its window of ${d.limit} bytes`,
    peerHint,
  ),
  REQUEST_CANCELLED: row(
    (d: { method: string }) => `the request ${d.method} was cancelled`,
    "Ask again if it is still wanted",
  ),
  CLIENT_GONE: row(
    (d: { method: string }) => `the client of the request ${d.method} went away`,
    "A build goes on without its client if it was asked for with `--detach` or `--on-disconnect keep`",
  ),
  INTERNAL_ERROR: row(
    (d: { method: string; reason: string; request?: string }) => `${d.method} failed unexpectedly: ${d.reason}`,
    (d) => (d.request === undefined ? reportHint : `${reportHint}, where it is the request ${d.request}`),
  ),
} as const;

export const ProtocolError = errorClass(protocolErrors, "ProtocolError");
