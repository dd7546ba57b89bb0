/**
 * What a builder finds in its environment and in its build directory. Nothing of the daemon's own environment is
 * inherited. Source: Nix manual, "Builder Execution"; Nix libstore/unix/build/derivation-builder.cc.
 */
import { Buffer } from "node:buffer";
import { encodeBase32 } from "../../derivations/base32.ts";
import { bytes } from "../../derivations/bytes.ts";
import type { Derivation } from "../../derivations/derivation.ts";
import { sha256 } from "../../derivations/hash.ts";
import type { StoreDirectory } from "../../derivations/store-path.ts";
import type { JailSpec } from "../../sandbox-native/jail-spec.ts";
import { printAttributesJson, printAttributesShell } from "./attribute-files.ts";
import type { BuildAttributes } from "./attributes.ts";
import { isJsonObject, type Json, type JsonObject } from "./json.ts";
import { type Replacements, replaceBytes, replaceText } from "./replace-bytes.ts";
import { isTurned, type Variation } from "./variation.ts";

export type BuildFile = JailSpec["files"][number];

/** Where a build works, as it sees it. */
export const buildDirectoryInside = "/build";

export interface EnvironmentOptions {
  readonly storeDirectory: StoreDirectory;
  readonly derivation: Derivation;
  readonly attributes: BuildAttributes;
  /** What `NIX_BUILD_CORES` says; at least 1. */
  readonly cores: number;
  /** Own placeholders, and what to put in their place. */
  readonly replacements: Replacements;
  /** The full path at which each output is to be made, by id. */
  readonly outputPaths: ReadonlyMap<string, string>;
  /** Values of the daemon's own that fixed-output builders may ask for. */
  readonly impureEnvironment: ReadonlyMap<string, string>;
  /** Closures for structured attributes, by key (`exportReferencesGraph`). */
  readonly graphs: JsonObject;
  /** Of a build that is compared with another one. */
  readonly variation?: Variation | undefined;
}

export interface BuilderSurroundings {
  readonly environment: ReadonlyMap<string, Uint8Array>;
  readonly files: readonly BuildFile[];
}

/** Later variables win over earlier ones, also over the derivation's own. */
export function makeSurroundings(options: EnvironmentOptions): BuilderSurroundings {
  const { derivation, attributes } = options;
  const environment = new Map<string, Uint8Array>(pathNotSet);
  const files: BuildFile[] = [];
  for (const [name, value] of options.variation?.variables ?? []) environment.set(name, value);
  environment.set("NIX_STORE", bytes(options.storeDirectory));
  environment.set("NIX_BUILD_CORES", bytes(String(options.cores)));

  if (attributes.structured === undefined) addVariables(options, environment, files);
  else addStructured(options, attributes.structured, environment, files);

  const inside = options.variation?.buildDirectory;
  for (const [name, value] of places) environment.set(name, inside === undefined ? value : bytes(inside));
  if (derivation.outputs.get("out")?.kind === "fixed") {
    environment.set("NIX_OUTPUT_CHECKED", bytes("1"));
    for (const name of attributes.impureVariables)
      environment.set(name, bytes(options.impureEnvironment.get(name) ?? ""));
  }
  for (const [name, value] of logAndTerminal) environment.set(name, value);
  return { environment, files };
}

const pathNotSet: readonly (readonly [string, Uint8Array])[] = [
  ["PATH", bytes("/path-not-set")],
  ["HOME", bytes("/homeless-shelter")],
];

const places = ["NIX_BUILD_TOP", "TMPDIR", "TEMPDIR", "TMP", "TEMP", "PWD"].map(
  (name) => [name, bytes(buildDirectoryInside)] as const,
);

const logAndTerminal: readonly (readonly [string, Uint8Array])[] = [
  ["NIX_LOG_FD", bytes("2")],
  ["TERM", bytes("xterm-256color")],
];

/** As execve wants them: `NAME=VALUE`. */
export function printEnvironment(environment: ReadonlyMap<string, Uint8Array>, variation?: Variation): Uint8Array[] {
  const entries = Array.from(environment, ([name, value]) => usualEntries.get(value) ?? printVariable(name, value));
  return isTurned(variation, "environment-order") ? entries.reverse() : entries;
}

function printVariable(name: string, value: Uint8Array): Uint8Array {
  const start = bytes(`${name}=`);
  const entry = Buffer.allocUnsafe(start.length + value.length);
  entry.set(start);
  entry.set(value, start.length);
  return entry;
}

/** By the value, which no other variable has: most of what a builder gets is the same for all. */
const usualEntries: ReadonlyMap<Uint8Array, Uint8Array> = new Map(
  [...pathNotSet, ...places, ...logAndTerminal].map(([name, value]) => [value, printVariable(name, value)]),
);

function addVariables(options: EnvironmentOptions, environment: Map<string, Uint8Array>, files: BuildFile[]): void {
  const { derivation, attributes, replacements } = options;
  for (const [name, value] of derivation.environment) {
    const contents = replaceBytes(value, replacements);
    if (!attributes.passAsFile.includes(name)) {
      environment.set(name, contents);
      continue;
    }
    const file = `.attr-${encodeBase32(sha256(name).bytes)}`;
    files.push({ name: file, contents, executable: false });
    environment.set(`${name}Path`, bytes(`${insideOf(options)}/${file}`));
  }
}

function addStructured(
  options: EnvironmentOptions,
  structured: JsonObject,
  environment: Map<string, Uint8Array>,
  files: BuildFile[],
): void {
  const attributes: JsonObject = {
    ...(replaceInJson(structured, options.replacements) as JsonObject),
    ...options.graphs,
    outputs: Object.fromEntries(options.outputPaths),
  };
  files.push({ name: ".attrs.json", contents: printAttributesJson(attributes), executable: false });
  files.push({ name: ".attrs.sh", contents: printAttributesShell(attributes), executable: false });
  environment.set("NIX_ATTRS_JSON_FILE", bytes(`${insideOf(options)}/.attrs.json`));
  environment.set("NIX_ATTRS_SH_FILE", bytes(`${insideOf(options)}/.attrs.sh`));
}

function insideOf({ variation }: EnvironmentOptions): string {
  return variation?.buildDirectory ?? buildDirectoryInside;
}

function replaceInJson(value: Json, replacements: Replacements): Json {
  if (typeof value === "string") return replaceText(value, replacements);
  if (Array.isArray(value)) return (value as readonly Json[]).map((item) => replaceInJson(item, replacements));
  if (!isJsonObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [replaceText(key, replacements), replaceInJson(item, replacements)]),
  );
}
