/**
 * The quick way through a schema: plain functions, made once from it. What does not fit is `undefined` for who decodes,
 * because only a person needs the words, and zod-of-schema.ts has them.
 */
import { type AnySchema, identity, type Schema, type Shape } from "./schema.ts";

export interface CompiledCodec<Value> {
  /** `NoMatch` if what was sent has another form. Throws what the values' own parsers throw. */
  readonly decode: (sent: unknown) => Value | typeof noMatch;
  /** For values of our own types: it changes their form and checks nothing. */
  readonly encode: (value: Value) => unknown;
}

/** What a decoder gives in place of a value. */
export const noMatch = Symbol("no match");

/** Compiled when it is first asked for. */
export function codecOf<Value>(schema: Schema<Value>): CompiledCodec<Value> {
  let codec = compiled.get(schema);
  if (codec === undefined) {
    codec = { decode: decoderOf(schema), encode: (encoderOf(schema) ?? identity) as (value: unknown) => unknown };
    compiled.set(schema, codec);
  }
  return codec as CompiledCodec<Value>;
}

const compiled = new WeakMap<AnySchema, CompiledCodec<unknown>>();

type Decoder = (sent: unknown) => unknown;
type Encoder = (value: never) => unknown;

function decoderOf(schema: AnySchema): Decoder {
  const { def } = schema;
  switch (def.type) {
    case "string": {
      const { maximum = Number.POSITIVE_INFINITY, check } = def;
      if (check === undefined) return (sent) => (typeof sent === "string" && sent.length <= maximum ? sent : noMatch);
      return (sent) => (typeof sent === "string" && sent.length <= maximum && check(sent) ? sent : noMatch);
    }
    case "number":
      return (sent) => (Number.isFinite(sent) ? sent : typeof sent === "bigint" ? Number(sent) : noMatch);
    case "count":
      return (sent) => decodeInteger(sent, 0);
    case "integer":
      return (sent) => decodeInteger(sent, Number.MIN_SAFE_INTEGER);
    case "bigint":
      return decodeSize;
    case "boolean":
      return (sent) => (typeof sent === "boolean" ? sent : noMatch);
    case "null":
      return (sent) => (sent === null ? sent : noMatch);
    case "unknown":
      return identity;
    case "bytes":
      return (sent) => (sent instanceof Uint8Array ? sent : noMatch);
    case "record":
      return (sent) => (isMap(sent) ? sent : noMatch);
    case "enum": {
      const values = new Set<unknown>(def.values);
      return (sent) => (values.has(sent) ? sent : noMatch);
    }
    case "optional":
    case "nullable": {
      const inner = decoderOf(def.innerType);
      const empty = def.type === "optional" ? undefined : null;
      return (sent) => (sent === empty ? sent : inner(sent));
    }
    case "array": {
      const element = decoderOf(def.element);
      return (sent) => (Array.isArray(sent) ? decodeEach(sent, element) : noMatch);
    }
    case "tuple": {
      const items = def.items.map(decoderOf);
      return (sent) => {
        if (!Array.isArray(sent) || sent.length !== items.length) return noMatch;
        const values = items.map((item, index) => item(sent[index]));
        return values.includes(noMatch) ? noMatch : values;
      };
    }
    case "object":
      return objectDecoder(def.shape);
    case "union":
      return def.discriminator === undefined
        ? firstOf(def.options.map(decoderOf))
        : byKind(def.options, def.discriminator);
    case "codec": {
      const inner = decoderOf(def.in);
      const decode = def.decode as Decoder;
      return (sent) => {
        const value = inner(sent);
        return value === noMatch ? noMatch : decode(value);
      };
    }
    case "lazy": {
      let made: Decoder | undefined;
      return (sent) => {
        made ??= codecOf(def.get()).decode;
        return made(sent);
      };
    }
    default:
      return def satisfies never;
  }
}

function decodeInteger(sent: unknown, least: number): unknown {
  const value = typeof sent === "bigint" ? Number(sent) : sent;
  return Number.isSafeInteger(value) && (value as number) >= least ? value : noMatch;
}

function decodeSize(sent: unknown): unknown {
  const value = Number.isSafeInteger(sent) ? BigInt(sent as number) : sent;
  return typeof value === "bigint" && value >= 0n && value < 2n ** 64n ? value : noMatch;
}

function decodeEach(sent: readonly unknown[], element: Decoder): unknown {
  const values = new Array(sent.length);
  for (let index = 0; index < sent.length; ++index) {
    const value = element(sent[index]);
    if (value === noMatch) return noMatch;
    values[index] = value;
  }
  return values;
}

/** Fields that the schema does not name are left out. */
function objectDecoder(shape: Shape): Decoder {
  const fields = Object.entries(shape).map(([key, field]) => ({ key, decode: decoderOf(field) }));
  return (sent) => {
    if (!isMap(sent)) return noMatch;
    const value: Record<string, unknown> = {};
    for (const { key, decode } of fields) {
      const entry = decode(Object.hasOwn(sent, key) ? sent[key] : undefined);
      if (entry === noMatch) return noMatch;
      if (entry !== undefined) value[key] = entry;
    }
    return value;
  };
}

function firstOf(options: readonly Decoder[]): Decoder {
  return (sent) => {
    for (const option of options) {
      const value = option(sent);
      if (value !== noMatch) return value;
    }
    return noMatch;
  };
}

function byKind(options: readonly AnySchema[], discriminator: string): Decoder {
  const byLiteral = new Map(options.map((option) => [literalOf(option, discriminator), decoderOf(option)]));
  return (sent) => (isMap(sent) ? (byLiteral.get(sent[discriminator])?.(sent) ?? noMatch) : noMatch);
}

/** Undefined: what is sent is the value itself. */
function encoderOf(schema: AnySchema): Encoder | undefined {
  const { def } = schema;
  switch (def.type) {
    case "optional":
    case "nullable": {
      const inner = encoderOf(def.innerType);
      return inner && ((value: unknown) => (value === undefined || value === null ? value : inner(value as never)));
    }
    case "array": {
      const element = encoderOf(def.element);
      return element && ((values: readonly unknown[]) => values.map((value) => element(value as never)));
    }
    case "tuple": {
      const items = def.items.map(encoderOf);
      if (items.every((item) => item === undefined)) return undefined;
      return (values: readonly unknown[]) => values.map((value, index) => (items[index] ?? identity)(value as never));
    }
    case "object":
      return objectEncoder(def.shape);
    case "union": {
      if (def.discriminator === undefined) return undefined; // ours differ only in types that are sent as they are
      const { discriminator } = def;
      const byLiteral = new Map(
        def.options.map((option) => [literalOf(option, discriminator), encoderOf(option) ?? identity]),
      );
      return (value: Readonly<Record<string, unknown>>) => byLiteral.get(value[discriminator])?.(value as never);
    }
    case "codec": {
      const inner = encoderOf(def.in);
      const encode = def.encode as Encoder;
      if (inner === undefined) return encode === (identity as Encoder) ? undefined : encode;
      return (value) => inner(encode(value) as never);
    }
    case "lazy": {
      let made: Encoder | undefined;
      return (value) => {
        made ??= codecOf(def.get()).encode as Encoder;
        return made(value);
      };
    }
    default:
      return undefined;
  }
}

/** Fields that the schema does not name, and absent ones, are not sent. */
function objectEncoder(shape: Shape): Encoder {
  const fields = Object.entries(shape).map(([key, field]) => ({ key, encode: encoderOf(field) }));
  return (value: Readonly<Record<string, unknown>>) => {
    const sent: Record<string, unknown> = {};
    for (const { key, encode } of fields) {
      const entry = value[key];
      if (entry !== undefined) sent[key] = encode === undefined ? entry : encode(entry as never);
    }
    return sent;
  };
}

function literalOf(option: AnySchema, discriminator: string): unknown {
  const { def } = option;
  const kind = def.type === "object" ? def.shape[discriminator]?.def : undefined;
  if (kind?.type !== "enum" || kind.values.length !== 1) throw new Error("an option of a union by kind has no kind");
  return kind.values[0];
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}
