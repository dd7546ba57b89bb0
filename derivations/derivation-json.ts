/**
 * A derivation as JSON: the value that `nix derivation show` of Nix 2.34 prints for each one (version 4), where store
 * paths are base names. Source: Nix manual, "Derivation" under "Formats / JSON".
 */
import { bytes, compareText, findText } from "./bytes.ts";
import { type ContentMethod, makeFixedOutputPath, outputPathName } from "./content-address.ts";
import type { Derivation } from "./derivation.ts";
import { validateDerivation } from "./derivation-validity.ts";
import { CloisterError } from "./error.ts";
import { DerivationError } from "./errors.ts";
import { isHashAlgorithm, parseHash, printHash } from "./hash.ts";
import type { Output } from "./output.ts";
import { parseStorePath, type StoreDirectory, type StorePath } from "./store-path.ts";

/** Plain data for JSON.stringify; objects have no prototype, so any name can be a key. */
export interface DerivationJson {
  readonly version: 4;
  readonly name: string;
  readonly system: string;
  readonly builder: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** The object in `__json`, which then does not stand in `env`. */
  readonly structuredAttrs?: JsonObject;
  readonly inputs: {
    readonly drvs: Readonly<
      Record<string, { readonly outputs: readonly string[]; readonly dynamicOutputs: JsonObject }>
    >;
    readonly srcs: readonly string[];
  };
  readonly outputs: Readonly<Record<string, OutputJson>>;
}

export type OutputJson =
  | { readonly path: string }
  | { readonly method: MethodJson; readonly hash: string }
  | { readonly method: MethodJson; readonly hashAlgo: string }
  | Readonly<Record<string, never>>;

/** Throws DERIVATION_JSON_INVALID where a text is not UTF-8, for JSON has no place for it. */
export function printDerivationJson(derivation: Derivation): DerivationJson {
  const env = new Map(
    [...derivation.environment].sort(byName).map(([name, value]) => [name, textOf(value, `env.${name}`)]),
  );
  const structuredAttrs = findStructuredAttributes(env.get(structuredName));
  if (structuredAttrs !== undefined) env.delete(structuredName);
  const drvs = [...derivation.inputDerivations].sort(byName).map(([path, ids]) => {
    return [path, { dynamicOutputs: {}, outputs: [...ids].sort(compareText) }] as const;
  });
  return {
    args: derivation.args.map((argument, index) => textOf(argument, `args[${index}]`)),
    builder: textOf(derivation.builder, "builder"),
    env: recordOf(env),
    inputs: { drvs: recordOf(drvs), srcs: [...derivation.inputSources].sort() },
    name: derivation.name,
    outputs: recordOf([...derivation.outputs].sort(byName).map(([id, output]) => [id, printOutput(output)] as const)),
    ...(structuredAttrs === undefined ? {} : { structuredAttrs }),
    system: derivation.system,
    version: 4,
  };
}

/**
 * Reads what `printDerivationJson` or `nix derivation show` made of one derivation (after JSON.parse).
 * Throws DERIVATION_JSON_INVALID with the field, and what `validateDerivation` throws.
 */
export function parseDerivationJson(directory: StoreDirectory, json: unknown): Derivation {
  const fields = new Fields(json, "the derivation");
  if (fields.get("version") !== 4) throw refuse("version", "4 is the only one known");
  const name = fields.text("name");
  const environment = new Map(fields.object("env").entries((env, variable) => bytes(env.text(variable))));
  const structuredAttrs = fields.get("structuredAttrs");
  if (structuredAttrs !== undefined) {
    if (environment.has(structuredName)) throw refuse("structuredAttrs", "env has __json already");
    fields.object("structuredAttrs");
    environment.set(structuredName, bytes(printCanonicalJson(structuredAttrs as JsonObject)));
  }
  const inputs = fields.object("inputs");
  const drvs = inputs.object("drvs").entries((entries, path) => {
    const input = entries.object(path);
    const dynamic = input.get("dynamicOutputs");
    if (dynamic !== undefined && Object.keys(dynamic as object).length > 0)
      throw refuse(`inputs.drvs.${path}.dynamicOutputs`, "dynamic derivations are not supported");
    return new Set(input.texts("outputs"));
  });
  const derivation: Derivation = {
    name,
    outputs: new Map(
      fields.object("outputs").entries((outputs, id) => parseOutput(directory, name, id, outputs.object(id))),
    ),
    inputDerivations: new Map(drvs.map(([path, ids]) => [storePath(path, "inputs.drvs"), ids])),
    inputSources: new Set(inputs.texts("srcs").map((path) => storePath(path, "inputs.srcs"))),
    system: fields.text("system"),
    builder: bytes(fields.text("builder")),
    args: fields.texts("args").map(bytes),
    environment,
  };
  validateDerivation(derivation);
  return derivation;
}

type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;
type JsonObject = { readonly [key: string]: JsonValue };
type MethodJson = "flat" | "nar" | "text";

const structuredName = "__json";
const methodNames: Readonly<Record<ContentMethod, MethodJson>> = { flat: "flat", recursive: "nar", text: "text" };

function printOutput(output: Output): OutputJson {
  switch (output.kind) {
    case "input-addressed":
      return { path: output.path };
    case "fixed":
      return { hash: printHash(output.hash, "sri"), method: methodNames[output.method] };
    case "floating":
      return { hashAlgo: output.algorithm, method: methodNames[output.method] };
    case "deferred":
      return {};
    default:
      return output satisfies never;
  }
}

function parseOutput(directory: StoreDirectory, name: string, id: string, fields: Fields): Output {
  const at = `outputs.${id}`;
  if (fields.get("impure") === true) throw new DerivationError("DERIVATION_IMPURE_UNSUPPORTED", { outputId: id });
  if (fields.get("path") !== undefined) return { kind: "input-addressed", path: storePath(fields.text("path"), at) };
  if (fields.get("method") === undefined) {
    if (fields.get("hash") !== undefined || fields.get("hashAlgo") !== undefined) throw refuse(at, "it has no method");
    return { kind: "deferred" };
  }
  const method = (Object.keys(methodNames) as ContentMethod[]).find((key) => methodNames[key] === fields.get("method"));
  if (method === undefined) throw refuse(`${at}.method`, "flat, nar or text was expected");
  if (fields.get("hash") !== undefined) {
    return within(`${at}.hash`, () => {
      const address = { method, hash: parseHash(fields.text("hash")) };
      return { kind: "fixed", ...address, path: makeFixedOutputPath(directory, outputPathName(name, id), address) };
    });
  }
  const algorithm = fields.text("hashAlgo");
  if (!isHashAlgorithm(algorithm)) throw refuse(`${at}.hashAlgo`, `the algorithm ${algorithm} is not known`);
  if (method === "text" && algorithm !== "sha256") throw refuse(`${at}.hashAlgo`, "a text is hashed by sha256 only");
  return { kind: "floating", method, algorithm };
}

/** An object from outside, whose fields are checked as they are taken. */
class Fields {
  readonly #value: Readonly<Record<string, unknown>>;
  readonly #at: string;

  constructor(value: unknown, at: string) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw refuse(at, "an object was expected");
    this.#value = value as Readonly<Record<string, unknown>>;
    this.#at = at;
  }

  get(key: string): unknown {
    return Object.hasOwn(this.#value, key) ? this.#value[key] : undefined;
  }

  object(key: string): Fields {
    return new Fields(this.get(key), this.#path(key));
  }

  text(key: string): string {
    return this.#asText(this.get(key), this.#path(key));
  }

  texts(key: string): string[] {
    const value = this.get(key);
    if (!Array.isArray(value)) throw refuse(this.#path(key), "an array was expected");
    return value.map((item, index) => this.#asText(item, `${this.#path(key)}[${index}]`));
  }

  entries<Value>(read: (fields: Fields, key: string) => Value): (readonly [string, Value])[] {
    return Object.keys(this.#value)
      .sort(compareText)
      .map((key) => [key, read(this, key)] as const);
  }

  #asText(value: unknown, at: string): string {
    if (typeof value !== "string") throw refuse(at, "a string was expected");
    if (findText(bytes(value)) !== value) throw refuse(at, "it has half of a surrogate pair");
    return value;
  }

  #path(key: string): string {
    return this.#at === "the derivation" ? key : `${this.#at}.${key}`;
  }
}

function refuse(field: string, reason: string) {
  return new DerivationError("DERIVATION_JSON_INVALID", { field, reason });
}

/** Gives an error of a smaller parser the field it is about. */
function within<Result>(field: string, parse: () => Result): Result {
  try {
    return parse();
  } catch (cause) {
    if (!(cause instanceof CloisterError)) throw cause;
    throw new DerivationError("DERIVATION_JSON_INVALID", { field, reason: cause.message }, { cause });
  }
}

function storePath(baseName: string, field: string): StorePath {
  return within(field, () => parseStorePath(baseName));
}

function textOf(value: Uint8Array, field: string): string {
  const found = findText(value);
  if (found === undefined) throw refuse(field, "it is not UTF-8 text");
  return found;
}

/**
 * What `__json` holds, if writing it again gives the same text. Where it would not (an integer past 2^53, say), the
 * text stays in the environment and nothing is lost.
 */
function findStructuredAttributes(json: string | undefined): JsonObject | undefined {
  if (json === undefined) return undefined;
  let value: JsonValue;
  try {
    value = JSON.parse(json) as JsonValue;
  } catch {
    return undefined; // not ours to refuse: it is only an environment variable then
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  return printCanonicalJson(value) === json ? (value as JsonObject) : undefined;
}

/** JSON as Nix writes it: no spaces, keys in the order of their bytes. */
function printCanonicalJson(value: JsonValue): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(printCanonicalJson).join(",")}]`;
  const members = Object.entries(value as JsonObject).sort(byName);
  return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${printCanonicalJson(member)}`).join(",")}}`;
}

function byName(left: readonly [string, unknown], right: readonly [string, unknown]): number {
  return compareText(left[0], right[0]);
}

function recordOf<Value>(entries: Iterable<readonly [string, Value]>): Record<string, Value> {
  const record: Record<string, Value> = Object.create(null);
  for (const [key, value] of entries) record[key] = value;
  return record;
}
