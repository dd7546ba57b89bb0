/**
 * The zod schema of a schema of ours: what a value from outside has to be, for whoever wants to know what is wrong with
 * it. The daemon loads it; a client does not (see schema.ts).
 */
import { z } from "zod";
import type { AnySchema, Shape } from "./schema.ts";

/** It parses what is sent into our own value. */
export function zodOf(schema: AnySchema): z.ZodType {
  const known = made.get(schema);
  if (known !== undefined) return known;
  const zod = make(schema);
  made.set(schema, zod);
  return zod;
}

const made = new WeakMap<AnySchema, z.ZodType>();

/** The first thing that zod has to say of a value that does not fit. */
export function findFault(schema: AnySchema, sent: unknown): { readonly field: string; readonly reason: string } {
  const parsed = zodOf(schema).safeParse(sent);
  const issue = parsed.success ? undefined : parsed.error.issues[0];
  return { field: issue?.path.map(String).join(".") ?? "", reason: issue?.message ?? "it has another form" };
}

function make({ def }: AnySchema): z.ZodType {
  switch (def.type) {
    case "string": {
      const { maximum, check } = def;
      const bounded = maximum === undefined ? z.string() : z.string().max(maximum);
      return check === undefined ? bounded : bounded.refine(check);
    }
    case "number":
      return z.union([z.number(), z.bigint().transform(Number)]);
    case "count":
      return z.union([z.int().min(0), z.bigint().transform(Number).pipe(z.int().min(0))]);
    case "integer":
      return z.union([z.int(), z.bigint().transform(Number).pipe(z.int())]);
    case "bigint": {
      const size = z
        .bigint()
        .min(0n)
        .lt(2n ** 64n);
      return z.union([size, z.int().min(0).transform(BigInt)]);
    }
    case "boolean":
      return z.boolean();
    case "null":
      return z.null();
    case "unknown":
      return z.unknown();
    case "bytes":
      return z.custom<Uint8Array>((value) => value instanceof Uint8Array, "bytes are expected");
    case "record":
      return z.custom<object>(isMap, "a map is expected");
    case "enum":
      return z.literal([...def.values]);
    case "optional":
      return zodOf(def.innerType).optional();
    case "nullable":
      return zodOf(def.innerType).nullable();
    case "array":
      return z.array(zodOf(def.element));
    case "tuple":
      return z.tuple(def.items.map(zodOf) as [z.ZodType, ...z.ZodType[]]);
    case "object":
      return mapOf(def.shape);
    case "union": {
      const options = def.options.map(zodOf);
      return def.discriminator === undefined
        ? z.union(options)
        : z.discriminatedUnion(def.discriminator, options as [z.ZodObject, ...z.ZodObject[]]);
    }
    case "codec":
      return zodOf(def.in).transform((sent) => def.decode(sent as never));
    case "lazy":
      return z.lazy(() => zodOf(def.get()));
    default:
      return def satisfies never;
  }
}

function mapOf(shape: Shape): z.ZodType {
  return z.object(Object.fromEntries(Object.entries(shape).map(([key, field]) => [key, zodOf(field)])));
}

function isMap(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}
