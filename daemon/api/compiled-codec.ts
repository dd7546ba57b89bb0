/**
 * The quick way through a schema of wire-values: plain functions, made once from it, which do what zod's decode and
 * encode do (test/unit/daemon/api/compiled-codec.test.ts holds them equal) at a fifth of the price. What they do not
 * know they leave to zod; so does what does not fit, which zod then puts into words.
 */
import { z } from "zod";
import type { CheckDefinition, Definition, Schema } from "./schema-definition.ts";

export interface CompiledCodec<Value> {
  /** Throws a ZodError, and what the values' own parsers throw. */
  readonly decode: (sent: unknown) => Value;
  /** For values of our own types: it changes their form and checks nothing. */
  readonly encode: (value: Value) => unknown;
}

const compiled = new WeakMap<z.ZodType, CompiledCodec<unknown>>();

/** Compiled when it is first asked for. */
export function codecOf<Value>(schema: z.ZodType<Value>): CompiledCodec<Value> {
  let codec = compiled.get(schema);
  if (codec === undefined) {
    codec = makeCodec(schema);
    compiled.set(schema, codec);
  }
  return codec as CompiledCodec<Value>;
}

function makeCodec(schema: z.ZodType): CompiledCodec<unknown> {
  const decode = decoderOf(schema);
  const encode = encoderOf(schema);
  return {
    decode: (sent) => {
      const value = decode(sent);
      return value === mismatch ? z.decode(schema, sent as never) : value;
    },
    encode: (encode ?? identity) as (value: unknown) => unknown,
  };
}

/** What a decoder gives instead of a value when the value has another form. */
const mismatch = Symbol("mismatch");

type Decoder = (sent: unknown) => unknown;
type Encoder = (value: never) => unknown;

const decoders = new WeakMap<z.ZodType, Decoder>();

/** Schemas can hold themselves, so a decoder is known by its name before it is made. */
function decoderOf(schema: z.ZodType): Decoder {
  const known = decoders.get(schema);
  if (known !== undefined) return known;
  let made: Decoder | undefined;
  decoders.set(schema, (sent) => {
    made ??= makeDecoder(schema);
    return made(sent);
  });
  made = makeDecoder(schema);
  decoders.set(schema, made);
  return made;
}

function makeDecoder(schema: z.ZodType): Decoder {
  const test = testOf(schema);
  if (test !== undefined) return (sent) => (test(sent) ? sent : mismatch);
  const { def } = schema as unknown as Schema;
  switch (def.type) {
    case "optional":
    case "nullable": {
      const inner = decoderOf(def.innerType);
      const empty = def.type === "optional" ? undefined : null;
      return (sent) => (sent === empty ? sent : inner(sent));
    }
    case "array": {
      const element = decoderOf(def.element);
      return (sent) => (Array.isArray(sent) ? decodeEach(sent, element) : mismatch);
    }
    case "tuple": {
      const items = def.items.map(decoderOf);
      return (sent) => (Array.isArray(sent) && sent.length === items.length ? decodeTuple(sent, items) : mismatch);
    }
    case "object":
      return objectDecoder(def.shape);
    case "union":
      return def.discriminator === undefined
        ? firstOf(def.options.map(decoderOf))
        : byKind(def.options, def.discriminator);
    case "pipe": {
      const { transform } = def;
      const [first, second] = [decoderOf(def.in), decoderOf(def.out)];
      return (sent) => {
        const value = first(sent);
        return value === mismatch ? mismatch : second(transform(value));
      };
    }
    default:
      return (sent) => {
        const result = z.safeDecode(schema, sent as never);
        return result.success ? result.data : mismatch;
      };
  }
}

function decodeEach(sent: readonly unknown[], element: Decoder): unknown {
  const values = new Array(sent.length);
  for (let index = 0; index < sent.length; ++index) {
    const value = element(sent[index]);
    if (value === mismatch) return mismatch;
    values[index] = value;
  }
  return values;
}

function decodeTuple(sent: readonly unknown[], items: readonly Decoder[]): unknown {
  const values = sent.map((entry, index) => (items[index] as Decoder)(entry));
  return values.includes(mismatch) ? mismatch : values;
}

function objectDecoder(shape: Readonly<Record<string, z.ZodType>>): Decoder {
  const fields = Object.keys(shape).map((key) => ({ key, decode: decoderOf(shape[key] as z.ZodType) }));
  return (sent) => {
    if (!isPlainObject(sent)) return mismatch;
    const value: Record<string, unknown> = {};
    for (const { key, decode } of fields) {
      const entry = decode(sent[key]);
      if (entry === mismatch) return mismatch;
      if (entry !== undefined) value[key] = entry;
    }
    return value;
  };
}

function firstOf(options: readonly Decoder[]): Decoder {
  return (sent) => {
    for (const option of options) {
      const value = option(sent);
      if (value !== mismatch) return value;
    }
    return mismatch;
  };
}

function byKind(options: readonly z.ZodType[], discriminator: string): Decoder {
  const byLiteral = new Map(options.map((option) => [literalOf(option, discriminator), decoderOf(option)]));
  return (sent) => (isPlainObject(sent) ? (byLiteral.get(sent[discriminator])?.(sent) ?? mismatch) : mismatch);
}

/** Undefined: what is sent is the value itself. */
function encoderOf(schema: z.ZodType): Encoder | undefined {
  const known = encoders.get(schema);
  if (known !== undefined) return known;
  let made: Encoder | undefined;
  encoders.set(schema, (value) => {
    made ??= makeEncoder(schema) ?? identity;
    return made(value);
  });
  made = makeEncoder(schema);
  if (made === undefined) encoders.delete(schema);
  else encoders.set(schema, made);
  return made;
}

const encoders = new WeakMap<z.ZodType, Encoder>();

function makeEncoder(schema: z.ZodType): Encoder | undefined {
  const { def } = schema as unknown as Schema;
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
    case "pipe": {
      const { reverseTransform } = def;
      const [outer, inner] = [encoderOf(def.out), encoderOf(def.in)];
      const middle: Encoder =
        outer === undefined ? reverseTransform : (value) => reverseTransform(outer(value) as never);
      if (inner === undefined)
        return reverseTransform === (identity as Encoder) && outer === undefined ? undefined : middle;
      return (value) => inner(middle(value) as never);
    }
    default:
      return undefined;
  }
}

/** Fields that the schema does not name, and absent ones, are not sent. */
function objectEncoder(shape: Readonly<Record<string, z.ZodType>>): Encoder {
  const fields = Object.keys(shape).map((key) => ({ key, encode: encoderOf(shape[key] as z.ZodType) }));
  return (value: Readonly<Record<string, unknown>>) => {
    const sent: Record<string, unknown> = {};
    for (const { key, encode } of fields) {
      const entry = value[key];
      if (entry !== undefined) sent[key] = encode === undefined ? entry : encode(entry as never);
    }
    return sent;
  };
}

/** A schema that only says yes or no, as a test; undefined for those that change the value, and those not known here. */
function testOf(schema: z.ZodType): ((value: unknown) => boolean) | undefined {
  const { def } = schema as unknown as Schema;
  const checks = (def.checks ?? []).map((check) => checkOf(check._zod.def));
  if (checks.includes(undefined)) return undefined;
  const type = typeTestOf(def);
  if (type === undefined || checks.length === 0) return type;
  const tests = checks as ((value: never) => boolean)[];
  return (value) => type(value) && tests.every((test) => test(value as never));
}

function typeTestOf(def: Definition): ((value: unknown) => boolean) | undefined {
  switch (def.type) {
    case "string":
      return def.format === undefined ? (value) => typeof value === "string" : undefined;
    case "number":
      if (def.format === "safeint") return Number.isSafeInteger;
      return def.format === undefined ? Number.isFinite : undefined;
    case "bigint":
      return (value) => typeof value === "bigint";
    case "boolean":
      return (value) => typeof value === "boolean";
    case "null":
      return (value) => value === null;
    case "unknown":
      return () => true;
    case "literal": {
      const values = new Set(def.values);
      return (value) => values.has(value);
    }
    case "enum": {
      const values = new Set<unknown>(Object.values(def.entries));
      return (value) => values.has(value);
    }
    case "custom":
      return def.fn;
    default:
      return undefined;
  }
}

function checkOf(def: CheckDefinition): ((value: never) => boolean) | undefined {
  switch (def.check) {
    case "max_length":
      return (value: string) => value.length <= def.maximum;
    case "length_equals":
      return (value: string) => value.length === def.length;
    case "greater_than":
      return (value: number) => (def.inclusive ? value >= def.value : value > def.value);
    case "less_than":
      return (value: number) => (def.inclusive ? value <= def.value : value < def.value);
    case "custom":
      return def.fn;
    default:
      return undefined;
  }
}

function literalOf(option: z.ZodType, discriminator: string): unknown {
  const { def } = option as unknown as Schema;
  if (def.type !== "object") throw new Error("an option of a union by kind is not an object");
  const kind = (def.shape[discriminator] as unknown as Schema).def;
  if (kind.type !== "literal") throw new Error("the kind of a union's option is not a literal");
  return kind.values[0];
}

function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}

/** For codecs whose value is sent as it is; known here, so that nothing is done for it. */
export function identity<Value>(value: Value): Value {
  return value;
}
