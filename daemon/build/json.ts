/**
 * JSON whose numbers survive as they were written: structured attributes are handed on to builders, and 2^60 or 1.0 must
 * not become another number on the way.
 */
import { findText } from "../../derivations/bytes.ts";

export type Json = null | boolean | number | string | RawNumber | readonly Json[] | JsonObject;

export interface JsonObject {
  readonly [key: string]: Json;
}

/** A number that JavaScript would write differently; only `printJson` and `sourceOfRawNumber` look into it. */
export interface RawNumber {
  readonly rawJSON: string;
}

/** How deep objects and lists may be nested: what is not bounded here would be bounded by the stack, somewhere else. */
const levelLimit = 256;

/** Undefined where the bytes are not UTF-8 or not JSON, or nested deeper than 256 levels. */
export function parseJson(bytes: Uint8Array): Json | undefined {
  const text = findText(bytes);
  if (text === undefined || levelsOf(text) > levelLimit) return undefined;
  try {
    return JSON.parse(text, keepNumber as (this: unknown, key: string, value: unknown) => unknown) as Json;
  } catch {
    return undefined; // a SyntaxError, whose text depends on the engine: the caller names what was not JSON
  }
}

/** Without spaces, the keys of each object in the order of their UTF-16 units, as of any ordinary text. */
export function printJson(value: Json): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    isPlainObject(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
      : inner,
  );
}

export function isJsonObject(value: Json): value is JsonObject {
  return isPlainObject(value);
}

export function isRawNumber(value: Json): value is RawNumber {
  return engine.isRawJSON(value);
}

/** Newer than the ES2023 library that TypeScript is told of; in Node since 21. */
const engine = JSON as typeof JSON & { rawJSON(text: string): RawNumber; isRawJSON(value: unknown): boolean };

/** The levels of a JSON text; of any other text some number. */
function levelsOf(json: string): number {
  let level = 0;
  let deepest = 0;
  for (const token of json.matchAll(/"(?:[^"\\]|\\.)*"|[[{]|[\]}]/g)) {
    if (token[0] === "[" || token[0] === "{") deepest = Math.max(deepest, ++level);
    else if (token[0] === "]" || token[0] === "}") level -= 1;
  }
  return deepest;
}

function keepNumber(this: unknown, _key: string, value: unknown, context: { readonly source?: string }): unknown {
  if (typeof value !== "number" || context.source === undefined || String(value) === context.source) return value;
  return engine.rawJSON(context.source);
}

function isPlainObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !engine.isRawJSON(value);
}
