/** Definitions as JSON: the same attributes, with objects in place of the functions' results. */
import { dirname, resolve } from "node:path";
import { z } from "zod";
import {
  type ChosenOutput,
  type DerivationAttributes,
  type DerivationDescription,
  file,
  hostWorld,
  type InnerFile,
  type Reference,
  source,
  storePath,
  type World,
} from "./description.ts";
import { printIssues } from "./description-schema.ts";
import { DefinitionError } from "./errors.ts";

/** Gives the derivation that another file (or this one) holds: `name` is undefined for the file's only or default one. */
export type LoadOther = (file: string, name: string | undefined) => Promise<DerivationDescription>;

/** A JSON file, read: its derivations by name, or one without. */
export type JsonDefinition =
  | { readonly kind: "one"; readonly value: unknown }
  | { readonly kind: "several"; readonly values: Readonly<Record<string, unknown>> };

const inside = z
  .string()
  .regex(/^(?!\/)(?!.*(?:^|\/)\.\.(?:\/|$))./, "must be a relative path without ..")
  .optional();

/** One shape per way to name something in the store, told apart by its first name. */
const shapes = {
  source: z.strictObject({
    source: z.string(),
    name: z.string().optional(),
    exclude: z.array(z.string()).optional(),
    inside,
  }),
  storePath: z.strictObject({ storePath: z.string(), inside }),
  derivation: z.strictObject({ derivation: z.record(z.string(), z.unknown()), output: z.string().optional(), inside }),
  file: z.strictObject({ file: z.string(), output: z.string().optional(), inside }),
  host: z.strictObject({ host: z.array(z.string()) }),
} as const;

/** Throws DEFINITION_SYNTAX with the line, DEFINITION_INVALID. */
export function parseJsonDefinition(path: string, text: string): JsonDefinition {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new DefinitionError(
      "DEFINITION_SYNTAX",
      { file: path, line: findLine(text, reason), reason },
      { cause: error },
    );
  }
  if (!isObject(value)) throw refuse(path, "it must be an object");
  if (!("derivations" in value)) return { kind: "one", value };
  const { derivations, ...rest } = value;
  const [other] = Object.keys(rest);
  if (other !== undefined) throw refuse(path, `${other} cannot stand beside derivations`);
  if (!isObject(derivations)) throw refuse(path, "derivations must be an object of derivations by name");
  return { kind: "several", values: derivations };
}

/**
 * Makes the description that one JSON object stands for; what its attributes hold is checked later, with all others.
 * Throws DEFINITION_INVALID, and what `loadOther` throws.
 */
export async function describeJson(
  path: string,
  where: string,
  value: unknown,
  loadOther: LoadOther,
): Promise<DerivationDescription> {
  if (!isObject(value)) throw refuse(where, "it must be an object");
  const reader = new JsonReader(path, where, loadOther);
  const attributes: Record<string, unknown> = { ...value };
  if ("world" in attributes) attributes.world = await reader.readWorld(attributes.world);
  if (isObject(attributes.inputs)) attributes.inputs = await reader.readAll("inputs", attributes.inputs);
  if (isObject(attributes.env)) attributes.env = await reader.readAll("env", attributes.env);
  if ("builder" in attributes) attributes.builder = await reader.read("builder", attributes.builder);
  if (Array.isArray(attributes.args)) attributes.args = await reader.read("args", attributes.args);
  return { ...(attributes as unknown as DerivationAttributes), kind: "derivation", where }; // checked when it is resolved
}

class JsonReader {
  readonly #path: string;
  readonly #where: string;
  readonly #loadOther: LoadOther;

  constructor(path: string, where: string, loadOther: LoadOther) {
    this.#path = path;
    this.#where = where;
    this.#loadOther = loadOther;
  }

  async readWorld(value: unknown): Promise<World | unknown> {
    if (isObject(value) && "host" in value) return hostWorld(this.#parse("world", shapes.host, value).host);
    return this.read("world", value);
  }

  async readAll(field: string, values: Readonly<Record<string, unknown>>): Promise<Record<string, unknown>> {
    const read: Record<string, unknown> = {};
    for (const [name, value] of Object.entries(values)) read[name] = await this.read(`${field}.${name}`, value);
    return read;
  }

  /** Objects become references, lists have theirs replaced, and all else stays as it is. */
  async read(field: string, value: unknown): Promise<unknown> {
    if (Array.isArray(value)) return Promise.all(value.map((each, index) => this.read(`${field}.${index}`, each)));
    return isObject(value) ? this.#readReference(field, value) : value;
  }

  async #readReference(field: string, value: Readonly<Record<string, unknown>>): Promise<Reference> {
    if ("source" in value) {
      const { source: from, name, exclude, inside } = this.#parse(field, shapes.source, value);
      const options = { ...(name !== undefined && { name }), ...(exclude !== undefined && { exclude }) };
      return innerOf(source(resolve(dirname(this.#path), from), options), inside);
    }
    if ("storePath" in value) {
      const parsed = this.#parse(field, shapes.storePath, value);
      return innerOf(storePath(parsed.storePath), parsed.inside);
    }
    if ("derivation" in value) {
      const parsed = this.#parse(field, shapes.derivation, value);
      const described = await describeJson(this.#path, `${this.#where} ${field}`, parsed.derivation, this.#loadOther);
      return innerOf(outputOf(described, parsed.output), parsed.inside);
    }
    if ("file" in value) {
      const parsed = this.#parse(field, shapes.file, value);
      const [path = "", name] = parsed.file.split("#");
      const other = await this.#loadOther(path === "" ? this.#path : resolve(dirname(this.#path), path), name);
      return innerOf(outputOf(other, parsed.output), parsed.inside);
    }
    throw refuse(
      this.#where,
      `${field}: must have one of source, file, derivation, storePath${field === "world" ? ", host" : ""}`,
    );
  }

  #parse<Shape extends z.ZodObject>(field: string, shape: Shape, value: unknown): z.infer<Shape> {
    const result = shape.safeParse(value);
    if (result.success) return result.data;
    const problems = printIssues(result.error, Object.keys(shape.shape)).map((problem) => `${field}: ${problem}`);
    throw new DefinitionError("DEFINITION_INVALID", { where: this.#where, problems });
  }
}

function outputOf(described: DerivationDescription, id: string | undefined): DerivationDescription | ChosenOutput {
  return id === undefined ? described : { kind: "output", derivation: described, id };
}

function innerOf(of: InnerFile["of"], inside: string | undefined): Reference {
  return inside === undefined ? of : file(of, inside);
}

function refuse(where: string, problem: string) {
  return new DefinitionError("DEFINITION_INVALID", { where, problems: [problem] });
}

/**
 * The line of a syntax error, 0 if unknown. The engine's message names a position, or quotes up to ten characters before
 * and after it, or says that the text ended.
 */
function findLine(text: string, reason: string): number {
  const lineAt = (position: number) => text.slice(0, position).split("\n").length;
  const position = /position (\d+)/.exec(reason)?.[1];
  if (position !== undefined) return lineAt(Number(position));
  if (/end of JSON/.test(reason)) return lineAt(text.trimEnd().length);
  const quoted = /(\.\.\.)?"([\s\S]*?)"(?:\.\.\.)? is not valid JSON$/.exec(reason);
  const start = quoted === null ? -1 : text.indexOf(quoted[2] ?? "");
  return quoted === null || start < 0 || quoted[1] === undefined ? 0 : lineAt(start + 10);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
