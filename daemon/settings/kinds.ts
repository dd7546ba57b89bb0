/**
 * What kinds of values settings have: each is read from the text of a flag or of an environment variable, and from what
 * TOML makes of the configuration file, and is shown as one would write it there.
 */
import { isAbsolute } from "node:path";
import { type ZodType, z } from "zod";
import { isAddressBlock } from "../../sandbox-native/address-block.ts";
import { type LimitName, limitRows, parseLimit } from "../api/build-limits.ts";
import type { WrittenValue } from "../api/setting-values.ts";

export interface Kind<Value> {
  /** How the documentation calls it. */
  readonly name: string;
  /** What stands for its value after a flag; a switch has none. */
  readonly placeholder?: string;
  /** From a flag or a variable. Throws an Error that says what it must be. */
  readonly parse: (text: string) => Value;
  /** From the file. */
  readonly schema: ZodType<Value>;
  readonly write: (value: Value) => WrittenValue;
  /** A flag may be given several times: makes one value of all. */
  readonly join?: (values: readonly Value[]) => Value;
}

export function wholeNumber(least: number): Kind<number> {
  return numeric("whole number", "<n>", (text) => {
    const value = Number(text);
    if (!/^[0-9]+$/.test(text) || value < least || !Number.isSafeInteger(value))
      throw new Error(`it must be a whole number, at least ${least}`);
    return value;
  });
}

export const seconds: Kind<number> = { ...wholeNumber(0), name: "seconds", placeholder: "<seconds>" };

const limitUnits = {
  size: { called: "size", example: 'a size in bytes, such as "512M"', scale: 1 },
  processors: { called: "number", example: "a number of processors, such as 1.5", scale: 1000 },
  count: { called: "whole number", example: "a whole number", scale: 1 },
  seconds: { called: "seconds", example: "a whole number of seconds", scale: 1000 },
} as const;

/** Bytes. */
export const size: Kind<number> = limit("memoryBytes");

export function limit(name: LimitName): Kind<number> {
  const { unit, most } = limitRows[name] as (typeof limitRows)[LimitName] & { readonly most?: number };
  const { called, example, scale } = limitUnits[unit];
  const kind = numeric(called, "<limit>", (text) => {
    const parsed = parseLimit(name, text);
    if (parsed === undefined)
      throw new Error(`it must be ${example}${most === undefined ? "" : `, and at most ${most}`}`);
    return parsed;
  });
  return { ...kind, write: (value) => value / scale };
}

export function choice<const Value extends string>(...values: readonly Value[]): Kind<Value> {
  const parse = (text: string) => {
    const found = values.find((value) => value === text);
    if (found === undefined) throw new Error(`it is one of ${values.join(", ")}`);
    return found;
  };
  return { name: values.join(", "), placeholder: "<how>", parse, schema: checked(z.string(), parse), write: same };
}

export const onOrOff: Kind<boolean> = {
  name: "true or false",
  parse: (text) => {
    if (text !== "true" && text !== "false" && text !== "1" && text !== "0") throw new Error("it is true or false");
    return text === "true" || text === "1";
  },
  schema: z.boolean({ error: "it is true or false" }),
  write: same,
};

/** A flag's or a variable's may be relative to where the daemon is started, the file's may not. */
export const path: Kind<string> = {
  ...{ name: "path", placeholder: "<path>", parse: notEmpty, write: same },
  schema: checked(z.string({ error: "it must be a path" }), (text) => {
    if (!isAbsolute(text)) throw new Error("it must be an absolute path");
    return text;
  }),
};

export const word: Kind<string> = {
  ...{ name: "text", placeholder: "<name>", parse: notEmpty, write: same },
  schema: checked(z.string({ error: "it must be a text" }), notEmpty),
};

/** Of users: names, ids, `@group`, or `*`. A flag names one, a variable several with commas between. */
export const users: Kind<readonly string[]> = {
  name: "list of users",
  placeholder: "<user>",
  parse: commaSeparated,
  schema: z.array(checked(z.string({ error: "it must be a name" }), notEmpty), { error: "it must be a list of names" }),
  write: same,
  join: (lists) => lists.flat(),
};

/** Users, and groups of them, with what they get in proportion to others: "ada=2". */
export const shares: Kind<readonly string[]> = {
  name: "list of shares",
  placeholder: "<user=n>",
  parse: (text) => commaSeparated(text).map(share),
  schema: z.array(checked(z.string({ error: "it must be a share, such as ada=2" }), share), {
    error: 'it must be a list such as ["ada=2"]',
  }),
  write: same,
  join: (lists) => lists.flat(),
};

function share(text: string): string {
  if (!/^[^=@]+=(?!0+(?:\.0+)?$)[0-9]{1,6}(?:\.[0-9]{1,3})?$/.test(text))
    throw new Error("it must be a user and a number above 0, such as ada=2");
  return text;
}

export const networks: Kind<readonly string[]> = {
  name: "list of networks",
  placeholder: "<list>",
  parse: (text) => commaSeparated(text).map(network),
  schema: z.array(checked(z.string({ error: "it must be a network" }), network), {
    error: "it must be a list of networks",
  }),
  write: same,
};

function numeric(name: string, placeholder: string, parse: (text: string) => number): Kind<number> {
  const written = z.union([z.number(), z.string()], { error: "it must be a number, or a number in quotes" });
  return { name, placeholder, parse, schema: checked(written, (value) => parse(String(value))), write: same };
}

/** A schema whose values are what `read` makes of them; what it throws is what is wrong. */
function checked<From, Value>(from: ZodType<From>, read: (value: From) => Value): ZodType<Value> {
  return from.transform((value, context) => {
    try {
      return read(value);
    } catch (error) {
      context.addIssue({ code: "custom", message: (error as Error).message });
      return z.NEVER;
    }
  });
}

function network(text: string): string {
  if (!isAddressBlock(text)) throw new Error(`${text} is no network, such as 10.0.0.0/8 or fe80::/10`);
  return text;
}

function commaSeparated(text: string): readonly string[] {
  return text.split(",").filter((part) => part !== "");
}

function notEmpty(text: string): string {
  if (text === "") throw new Error("it must not be empty");
  return text;
}

function same<Value>(value: Value): Value {
  return value;
}
