/** What goes into a request and comes out of its answer, by the table of requests. */
import { codecOf, noMatch } from "../api/compiled-codec.ts";
import { ProtocolError } from "../api/errors.ts";
import type { BuildEvent } from "../api/events.ts";
import { type MethodName, methods, type Params } from "../api/msgpack-messages.ts";
import type { Schema } from "../api/schema.ts";
import { buildEvent } from "../api/wire-values.ts";

/** Throws PROTOCOL_PARAMS_INVALID where something of another type than ours cannot be encoded; the daemon checks the rest. */
export function encodeParams<Name extends MethodName>(method: Name, params: Params<Name>): unknown {
  try {
    return codecOf(methods[method].params as Schema<Params<Name>>).encode(params);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ProtocolError("PROTOCOL_PARAMS_INVALID", { method, field: "", reason }, { cause: error });
  }
}

/** Throws PROTOCOL_RESULT_INVALID. */
export function decodeResult(method: MethodName, value: unknown): unknown {
  return decodeWith<unknown>(methods[method].result, method, value);
}

export function decodeEvent(method: MethodName, value: unknown): BuildEvent {
  return decodeWith(buildEvent, method, value);
}

function decodeWith<Value>(schema: Schema<Value>, method: MethodName, value: unknown): Value {
  const decoded = codecOf(schema).decode(value);
  if (decoded !== noMatch) return decoded;
  throw new ProtocolError("PROTOCOL_RESULT_INVALID", { method });
}
