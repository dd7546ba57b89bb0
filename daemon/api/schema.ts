/**
 * Schemas of the msgpack protocol as plain data: what docs/protocol.md is made from, what compiled-codec.ts makes
 * decoders and encoders of, and zod-of-schema.ts zod schemas. Not zod itself, because a client would load it with each
 * command, and it takes longer to load than all the rest of a client.
 */

declare const valueType: unique symbol;

/** `Value` is our own type; what is sent may be of another form. */
export interface Schema<Value> {
  readonly def: Definition;
  /** How docs/protocol.md calls it; values without one are described by their parts. */
  readonly form?: WireForm;
  readonly [valueType]?: Value;
}

/** What docs/protocol.md says of a value, and what the tidy checks look for in the messages. */
export interface WireForm {
  readonly name: string;
  readonly form: string;
  /** It names a file of the client's machine. Only `addIndirectRoot` may have one: it is readlink'ed, never read. */
  readonly clientPath?: true;
}

export type ValueOf<Of> = Of extends Schema<infer Value> ? Value : never;

export type AnySchema = Schema<unknown>;
export type Shape = Readonly<Record<string, AnySchema>>;

export type Definition =
  | { readonly type: "string"; readonly maximum?: number; readonly check?: (text: string) => boolean }
  | { readonly type: "number" | "boolean" | "null" | "unknown" | "bytes" | "record" }
  /** Whole numbers from 0 on, below 2^53. */
  | { readonly type: "count" }
  /** Whole numbers, below 2^53 on both sides of 0. */
  | { readonly type: "integer" }
  /** From 0 on, below 2^64. */
  | { readonly type: "bigint" }
  | { readonly type: "enum"; readonly values: readonly (string | boolean)[] }
  | { readonly type: "optional" | "nullable"; readonly innerType: AnySchema }
  | { readonly type: "array"; readonly element: AnySchema }
  | { readonly type: "tuple"; readonly items: readonly AnySchema[] }
  | { readonly type: "object"; readonly shape: Shape }
  /** The first that fits; or, by `discriminator`, the one that has this value in that field. */
  | { readonly type: "union"; readonly options: readonly AnySchema[]; readonly discriminator?: string }
  /** `decode` throws what is wrong with a value of the right type, `encode` gives what `in` stands for. */
  | {
      readonly type: "codec";
      readonly in: AnySchema;
      readonly decode: (sent: never) => unknown;
      readonly encode: (value: never) => unknown;
    }
  /** For what holds itself. */
  | { readonly type: "lazy"; readonly get: () => AnySchema };

type ObjectOf<Fields extends Shape> = {
  readonly [Key in keyof Fields as Fields[Key] extends Optional ? never : Key]: ValueOf<Fields[Key]>;
} & {
  readonly [Key in keyof Fields as Fields[Key] extends Optional ? Key : never]?: ValueOf<Fields[Key]>;
};

export interface Optional {
  readonly isOptional: true;
}

export function text(
  limits: { readonly maximum?: number; readonly check?: (text: string) => boolean } = {},
): Schema<string> {
  return { def: { type: "string", ...limits } };
}

export const number: Schema<number> = { def: { type: "number" } };
export const boolean: Schema<boolean> = { def: { type: "boolean" } };
export const nil: Schema<null> = { def: { type: "null" } };
export const unknown: Schema<unknown> = { def: { type: "unknown" } };
export const record: Schema<Readonly<Record<string, unknown>>> = { def: { type: "record" } };
export const integer: Schema<number> = { def: { type: "integer" } };

export function oneOf<const Values extends readonly (string | boolean)[]>(...values: Values): Schema<Values[number]> {
  return { def: { type: "enum", values } };
}

export function object<const Fields extends Shape>(shape: Fields): Schema<ObjectOf<Fields>> {
  return { def: { type: "object", shape } };
}

export function list<Value>(element: Schema<Value>): Schema<readonly Value[]> {
  return { def: { type: "array", element } };
}

export function tuple<const Items extends readonly AnySchema[]>(
  ...items: Items
): Schema<{ readonly [Index in keyof Items]: ValueOf<Items[Index]> }> {
  return { def: { type: "tuple", items } };
}

export function union<const Options extends readonly AnySchema[]>(
  ...options: Options
): Schema<ValueOf<Options[number]>> {
  return { def: { type: "union", options } };
}

export function byKind<const Options extends readonly AnySchema[]>(
  discriminator: string,
  ...options: Options
): Schema<ValueOf<Options[number]>> {
  return { def: { type: "union", options, discriminator } };
}

export function nullable<Value>(innerType: Schema<Value>): Schema<Value | null> {
  return { def: { type: "nullable", innerType } };
}

/** A field that is left out where there is nothing to say. */
export function absentOr<Value>(innerType: Schema<Value>): Schema<Value> & Optional {
  return { def: { type: "optional", innerType }, isOptional: true };
}

export function codec<Sent, Value>(
  from: Schema<Sent>,
  transform: { readonly decode: (sent: Sent) => Value; readonly encode: (value: Value) => Sent },
): Schema<Value> {
  return { def: { type: "codec", in: from, ...transform } };
}

export function lazy<Value>(get: () => Schema<Value>): Schema<Value> {
  return { def: { type: "lazy", get } };
}

/** The same schema under a name of its own in docs/protocol.md. */
export function named<Value>(schema: Schema<Value>, form: WireForm): Schema<Value> {
  return { ...schema, form };
}

/** For codecs whose value is sent as it is; known to the compiled codecs, so that nothing is done for it. */
export function identity<Value>(value: Value): Value {
  return value;
}
