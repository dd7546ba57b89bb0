/**
 * The attributes of a derivation that steer its build rather than its builder: plain variables of its environment, or
 * keys of its structured attributes (`__json`). Source: Nix manual, "Advanced Attributes"; `__world`,
 * `__standalone` and `__limits` are cloister's own.
 */
import { findText } from "../../derivations/bytes.ts";
import type { Derivation } from "../../derivations/derivation.ts";
import { type BuildLimits, readLimitWords } from "../api/build-limits.ts";
import { BuildError } from "./errors.ts";
import { isJsonObject, type Json, type JsonObject, parseJson } from "./json.ts";

/** What an output may and may not refer to: each entry a full store path or the id of an output. */
export interface OutputChecks {
  readonly allowedReferences?: readonly string[];
  readonly allowedRequisites?: readonly string[];
  readonly disallowedReferences: readonly string[];
  readonly disallowedRequisites: readonly string[];
  /** In bytes of NAR; the output alone, and all that it needs. */
  readonly maxSize?: bigint;
  readonly maxClosureSize?: bigint;
  /** Whether a reference of the output to itself is no concern of these checks. */
  readonly ignoreSelfReferences: boolean;
}

/** A closure to be told to the builder: in a file (plain), or under a key of the structured attributes. */
export interface GraphExport {
  readonly name: string;
  /** Full paths, perhaps of files inside store paths. */
  readonly paths: readonly string[];
}

export interface BuildAttributes {
  readonly structured?: JsonObject;
  /** The full path of the world that the build sees at `/`. */
  readonly world?: string;
  /** The outputs run without that world, so they do not refer to it. */
  readonly standalone: boolean;
  /** The variables whose values go to files. */
  readonly passAsFile: readonly string[];
  readonly graphExports: readonly GraphExport[];
  /** Of `__limits`. */
  readonly limits: BuildLimits;
  readonly requiredSystemFeatures: readonly string[];
  /** The daemon's own variables that a fixed-output builder gets. */
  readonly impureVariables: readonly string[];
  readonly checksOf: (outputId: string) => OutputChecks;
  /** Whether the output's references are not to be registered (structured attributes only). */
  readonly discardsReferences: (outputId: string) => boolean;
}

/** Throws BUILD_ATTRIBUTE_INVALID. */
export function readAttributes(drvPath: string, derivation: Derivation): BuildAttributes {
  const source = { drvPath, name: derivation.name, environment: derivation.environment };
  const json = derivation.environment.get("__json");
  return json === undefined ? readPlain(source) : readStructured(source, parseStructured(source, json));
}

interface Source {
  readonly drvPath: string;
  readonly name: string;
  readonly environment: ReadonlyMap<string, Uint8Array>;
}

function readPlain(source: Source): BuildAttributes {
  const world = findVariable(source, "__world");
  const checks: OutputChecks = {
    ...optional("allowedReferences", findWords(source, "allowedReferences")),
    ...optional("allowedRequisites", findWords(source, "allowedRequisites")),
    disallowedReferences: findWords(source, "disallowedReferences") ?? [],
    disallowedRequisites: findWords(source, "disallowedRequisites") ?? [],
    ignoreSelfReferences: false,
  };
  return {
    ...optional("world", world === "" ? undefined : world),
    standalone: findVariable(source, "__standalone") === "1",
    passAsFile: findWords(source, "passAsFile") ?? [],
    limits: readLimits(source, findVariable(source, "__limits")),
    graphExports: pairExports(source, findWords(source, "exportReferencesGraph") ?? []),
    requiredSystemFeatures: findWords(source, "requiredSystemFeatures") ?? [],
    impureVariables: findWords(source, "impureEnvVars") ?? [],
    checksOf: () => checks,
    discardsReferences: () => false,
  };
}

function readStructured(source: Source, structured: JsonObject): BuildAttributes {
  const world = findString(source, structured, "__world") ?? findVariable(source, "__world");
  const standalone = structured.__standalone ?? findVariable(source, "__standalone");
  const outputChecks = findObject(source, structured, "outputChecks");
  const discards = findObject(source, structured, "unsafeDiscardReferences");
  return {
    structured,
    ...optional("world", world === "" ? undefined : world),
    standalone: standalone === "1" || standalone === true,
    passAsFile: [],
    limits: readLimits(source, findString(source, structured, "__limits") ?? findVariable(source, "__limits")),
    graphExports: Object.entries(findObject(source, structured, "exportReferencesGraph")).map(([name, paths]) => ({
      name,
      paths: typeof paths === "string" ? [paths] : strings(source, "exportReferencesGraph", paths),
    })),
    requiredSystemFeatures: findStrings(source, structured, "requiredSystemFeatures") ?? [],
    impureVariables: findStrings(source, structured, "impureEnvVars") ?? [],
    checksOf: (outputId) => readChecks(source, outputChecks[outputId]),
    discardsReferences: (outputId) => discards[outputId] === true,
  };
}

function readLimits(source: Source, words: string | undefined): BuildLimits {
  const limits = words === undefined ? {} : readLimitWords(words);
  if (typeof limits === "string") throw invalid(source, "__limits", limits);
  return limits;
}

function readChecks(source: Source, value: Json | undefined): OutputChecks {
  if (value === undefined) return noChecks;
  if (!isJsonObject(value)) throw invalid(source, "outputChecks", "its values are not objects");
  return {
    ...optional("allowedReferences", findStrings(source, value, "allowedReferences")),
    ...optional("allowedRequisites", findStrings(source, value, "allowedRequisites")),
    disallowedReferences: findStrings(source, value, "disallowedReferences") ?? [],
    disallowedRequisites: findStrings(source, value, "disallowedRequisites") ?? [],
    ...optional("maxSize", findSize(source, value, "maxSize")),
    ...optional("maxClosureSize", findSize(source, value, "maxClosureSize")),
    ignoreSelfReferences: value.ignoreSelfRefs !== false,
  };
}

const noChecks: OutputChecks = { disallowedReferences: [], disallowedRequisites: [], ignoreSelfReferences: true };

function parseStructured(source: Source, json: Uint8Array): JsonObject {
  const value = parseJson(json);
  if (value === undefined || !isJsonObject(value)) throw invalid(source, "__json", "it is not one JSON object");
  return value;
}

function pairExports(source: Source, words: readonly string[]): GraphExport[] {
  if (words.length % 2 !== 0)
    throw invalid(source, "exportReferencesGraph", "it is not pairs of a file name and a path");
  const exports: GraphExport[] = [];
  for (let index = 0; index < words.length; index += 2) {
    const name = words[index] ?? "";
    if (!/^[A-Za-z_][A-Za-z0-9_.-]*$/.test(name))
      throw invalid(source, "exportReferencesGraph", `${JSON.stringify(name)} cannot be the name of its file`);
    exports.push({ name, paths: [words[index + 1] ?? ""] });
  }
  return exports;
}

function findVariable(source: Source, name: string): string | undefined {
  const value = source.environment.get(name);
  if (value === undefined) return undefined;
  const text = findText(value);
  if (text === undefined) throw invalid(source, name, "it is not UTF-8");
  return text;
}

function findWords(source: Source, name: string): string[] | undefined {
  return findVariable(source, name)
    ?.split(/[ \t\n\r]+/)
    .filter((word) => word !== "");
}

function findString(source: Source, object: JsonObject, name: string): string | undefined {
  const value = object[name];
  if (value !== undefined && typeof value !== "string") throw invalid(source, name, "it is not a string");
  return value;
}

function findStrings(source: Source, object: JsonObject, name: string): readonly string[] | undefined {
  const value = object[name];
  return value === undefined || value === null ? undefined : strings(source, name, value);
}

function findObject(source: Source, object: JsonObject, name: string): JsonObject {
  const value = object[name] ?? {};
  if (!isJsonObject(value)) throw invalid(source, name, "it is not an object");
  return value;
}

function findSize(source: Source, object: JsonObject, name: string): bigint | undefined {
  const value = object[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0)
    throw invalid(source, name, "it is not a number of bytes");
  return BigInt(value);
}

function strings(source: Source, name: string, value: Json): readonly string[] {
  if (!Array.isArray(value) || !value.every((entry) => typeof entry === "string"))
    throw invalid(source, name, "it is not a list of strings");
  return value as readonly string[]; // each was looked at
}

function optional<Name extends string, Value>(name: Name, value: Value | undefined): { readonly [K in Name]?: Value } {
  return value === undefined ? {} : ({ [name]: value } as { readonly [K in Name]?: Value });
}

function invalid(source: Source, attribute: string, reason: string) {
  return new BuildError("BUILD_ATTRIBUTE_INVALID", { drvPath: source.drvPath, name: source.name, attribute, reason });
}
