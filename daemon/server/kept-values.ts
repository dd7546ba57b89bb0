/** How a request that goes on without its client lies in the database: msgpack, by the schemas of the protocol. */
import { Buffer } from "node:buffer";
import type { BuildResult } from "../../derivations/build-result.ts";
import type { DerivedPath } from "../../derivations/derived-path.ts";
import { CloisterError, type ErrorData } from "../../derivations/error.ts";
import { codecOf, noMatch } from "../api/compiled-codec.ts";
import { ProtocolError } from "../api/errors.ts";
import type { BuildEvent } from "../api/events.ts";
import { bodyOf, decodeBody, encodeFrame } from "../api/frames.ts";
import { methods } from "../api/msgpack-messages.ts";
import { byKind, list, object, oneOf, type Schema } from "../api/schema.ts";
import type { BuildSettingsAsked } from "../api/service.ts";
import { buildEvent, buildResult, errorData } from "../api/wire-values.ts";

/** What was asked for. */
export type Asked = BuildSettingsAsked & { readonly targets: readonly DerivedPath[] };

/** All that is kept of what happened: logs lie elsewhere. */
export type KeptEvent = Exclude<BuildEvent, { kind: "build-log" }>;

export type Ending =
  | { readonly kind: "results"; readonly results: readonly BuildResult[] }
  | { readonly kind: "error"; readonly error: ErrorData };

const ending: Schema<Ending> = byKind(
  "kind",
  object({ kind: oneOf("results"), results: list(buildResult) }),
  object({ kind: oneOf("error"), error: errorData }),
);

export const keptValues = {
  asked: coder<Asked>(methods.submit.params),
  event: coder<BuildEvent>(buildEvent),
  ending: coder<Ending>(ending),
} as const;

/** Whether it was our end that ended it, and no builder's or user's. */
export function isCutShort(ending: Ending, isStopping: boolean): boolean {
  const errors = ending.kind === "error" ? [ending.error] : ending.results.map(({ error }) => error);
  if (errors.some((error) => error?.code === "LAUNCHER_GONE")) return true; // and this daemon ends with it
  return (
    isStopping && errors.some((error) => error?.code === "BUILD_CANCELLED" || error?.code === "BUILD_DAEMON_STOPPING")
  );
}

/** Of a build that threw. */
export function endingOf(error: unknown): Ending {
  if (error instanceof CloisterError) return { kind: "error", error: error.toData() };
  const reason = error instanceof Error ? error.message : String(error);
  return { kind: "error", error: new ProtocolError("INTERNAL_ERROR", { method: "build", reason }).toData() };
}

interface Coder<Value> {
  encode(value: Value): Uint8Array;
  /** Undefined for what another version wrote and this one cannot read. */
  decode(bytes: Uint8Array): Value | undefined;
}

function coder<Value>(schema: Schema<Value>): Coder<Value> {
  return {
    encode: (value) => bodyOf(encodeFrame(codecOf(schema).encode(value) as object)),
    decode: (bytes) => {
      try {
        const decoded = codecOf(schema).decode(decodeBody(Buffer.from(bytes)));
        return decoded === noMatch ? undefined : (decoded as Value);
      } catch {
        return undefined; // a name or a number that is not one any more
      }
    },
  };
}
