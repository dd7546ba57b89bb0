/** What goes into a request and comes out of its answer, by the table of requests. */
import { z } from "zod";
import { codecOf } from "../api/compiled-codec.ts";
import { ProtocolError } from "../api/errors.ts";
import type { BuildEvent } from "../api/events.ts";
import { describeIssue } from "../api/messages.ts";
import { type MethodName, methods, type Params } from "../api/msgpack-messages.ts";
import { buildEvent } from "../api/wire-values.ts";

/** Throws PROTOCOL_PARAMS_INVALID. */
export function encodeParams<Name extends MethodName>(method: Name, params: Params<Name>): unknown {
  try {
    return codecOf(methods[method].params as z.ZodType).encode(params);
  } catch (error) {
    throw new ProtocolError(
      "PROTOCOL_PARAMS_INVALID",
      { method, ...findFault(method, params, error) },
      { cause: error },
    );
  }
}

/** Something of another type than ours could not be encoded: zod says where, if it gets as far as that. */
function findFault(method: MethodName, params: unknown, thrown: unknown): ReturnType<typeof describeIssue> {
  try {
    const encoded = z.safeEncode(methods[method].params as z.ZodType, params);
    if (!encoded.success) return describeIssue(encoded.error);
  } catch {
    // What a codec throws is what we have already.
  }
  return { field: "", reason: thrown instanceof Error ? thrown.message : String(thrown) };
}

/** Throws PROTOCOL_RESULT_INVALID. */
export function decodeResult(method: MethodName, value: unknown): unknown {
  return decodeWith(methods[method].result as z.ZodType, method, value);
}

export function decodeEvent(method: MethodName, value: unknown): BuildEvent {
  return decodeWith(buildEvent, method, value);
}

function decodeWith<Value>(schema: z.ZodType<Value>, method: MethodName, value: unknown): Value {
  try {
    return codecOf(schema).decode(value);
  } catch (error) {
    if (!(error instanceof z.ZodError)) throw error;
    throw new ProtocolError("PROTOCOL_RESULT_INVALID", { method, ...describeIssue(error) });
  }
}
