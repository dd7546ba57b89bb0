/** How zod keeps what a schema was made from: those parts of its definitions that compiled-codec.ts reads. */
import type { z } from "zod";

export interface Schema {
  readonly def: Definition;
}

export type Definition = { readonly checks?: readonly { readonly _zod: { readonly def: CheckDefinition } }[] } & (
  | {
      readonly type: "string" | "number" | "bigint" | "boolean" | "null" | "unknown" | "record";
      readonly format?: string;
    }
  | { readonly type: "literal"; readonly values: readonly unknown[] }
  | { readonly type: "enum"; readonly entries: Readonly<Record<string, unknown>> }
  | { readonly type: "custom"; readonly fn: (value: unknown) => boolean }
  | { readonly type: "optional" | "nullable"; readonly innerType: z.ZodType }
  | { readonly type: "array"; readonly element: z.ZodType }
  | { readonly type: "tuple"; readonly items: readonly z.ZodType[] }
  | { readonly type: "object"; readonly shape: Readonly<Record<string, z.ZodType>> }
  | { readonly type: "union"; readonly options: readonly z.ZodType[]; readonly discriminator?: string }
  | {
      readonly type: "pipe";
      readonly in: z.ZodType;
      readonly out: z.ZodType;
      readonly transform: (value: unknown) => unknown;
      readonly reverseTransform: (value: never) => unknown;
    }
);

export type CheckDefinition =
  | { readonly check: "max_length"; readonly maximum: number }
  | { readonly check: "length_equals"; readonly length: number }
  | { readonly check: "greater_than" | "less_than"; readonly value: number; readonly inclusive: boolean }
  | { readonly check: "custom"; readonly fn: (value: unknown) => boolean }
  | { readonly check: "string_format" };
