/**
 * From a description and the store paths of what it names to the derivation: the same one, byte for byte, as Nix's
 * `derivation { … }` makes of the same attributes. Source: Nix manual, "Derivations"; Nix libexpr/primops.cc.
 */
import { bytes } from "../../derivations/bytes.ts";
import type { Derivation } from "../../derivations/derivation.ts";
import { type DerivationModulo, fillOutputs } from "../../derivations/derivation-hash.ts";
import { type HashAlgorithm, parseHash } from "../../derivations/hash.ts";
import { findOutputPath, type Output } from "../../derivations/output.ts";
import { makeUpstreamPlaceholder } from "../../derivations/placeholder.ts";
import { printStorePath, type StoreDirectory, type StorePath } from "../../derivations/store-path.ts";
import type { DerivationAttributes, DerivationDescription, Reference, Value, World } from "./description.ts";
import { DefinitionError } from "./errors.ts";

/** A derivation that was made before those which use it. */
export interface MadeDerivation {
  readonly drvPath: StorePath;
  readonly derivation: Derivation;
}

export interface KnownPaths {
  readonly storeDirectory: StoreDirectory;
  /** Such as "x86_64-linux", where the description names none. */
  readonly system: string;
  /** Where the description stands, for messages. */
  readonly where: string;
  /** The directories in a build's PATH. */
  readonly searched: readonly string[];
  /** The path of a source or store path, or of a host's slice. */
  pathOf(reference: Extract<Reference | World, { kind: "source" | "store-path" | "host-world" }>): StorePath;
  derivationOf(description: DerivationDescription): MadeDerivation;
  hashOfInput(path: StorePath): DerivationModulo;
  /** The shell of a world, such as "/usr/bin/bash". Throws DEFINITION_NO_SHELL. */
  shellOf(world: World): string;
}

/** Throws DEFINITION_OUTPUT_UNKNOWN, DEFINITION_NO_SHELL, HASH_INVALID, STORE_PATH_NAME_INVALID, DERIVATION_INVALID. */
export function makeDerivation(attributes: DerivationAttributes, known: KnownPaths): Derivation {
  const inputDerivations = new Map<StorePath, Set<string>>();
  const inputSources = new Set<StorePath>();

  const printReference = (reference: Reference | World): string => {
    if (reference === "none") throw new Error("no world is no reference");
    switch (reference.kind) {
      case "source":
      case "store-path":
      case "host-world": {
        const path = known.pathOf(reference);
        inputSources.add(path);
        return printStorePath(known.storeDirectory, path);
      }
      case "derivation":
      case "output": {
        const [description, id] =
          reference.kind === "output" ? [reference.derivation, reference.id] : [reference, "out"];
        const made = known.derivationOf(description);
        const used = inputDerivations.get(made.drvPath) ?? new Set();
        inputDerivations.set(made.drvPath, used.add(id));
        return printOutput(known, made, id);
      }
      case "file":
        return `${printReference(reference.of)}/${reference.inside}`;
      default:
        return reference satisfies never;
    }
  };
  const printValue = (value: Value): string => {
    if (typeof value === "string") return value;
    if (typeof value === "number") return String(value);
    if (typeof value === "boolean") return value ? "1" : "";
    return isList(value) ? value.map(printValue).join(" ") : printReference(value);
  };

  const environment = new Map<string, Uint8Array>();
  const set = (name: string, value: string) => environment.set(name, bytes(value));
  if (attributes.world !== "none") {
    set("PATH", known.searched.join(":"));
    set("__world", printReference(attributes.world));
  }
  if (attributes.runtime === "none") set("__standalone", "1");
  for (const [name, reference] of Object.entries(attributes.inputs ?? {})) set(name, printReference(reference));
  for (const [name, value] of Object.entries(attributes.env ?? {})) set(name, printValue(value));
  if (attributes.passAsFile !== undefined) set("passAsFile", attributes.passAsFile.join(" "));
  if (attributes.outputs !== undefined) set("outputs", attributes.outputs.join(" "));
  const outputs = makeOutputs(attributes, set);

  const { builder, args } = makeCommand(attributes, known, printValue);
  const system = attributes.system ?? known.system;
  set("name", attributes.name);
  set("builder", builder);
  set("system", system);

  const derivation: Derivation = {
    name: attributes.name,
    outputs,
    inputDerivations,
    inputSources,
    system,
    builder: bytes(builder),
    args: args.map(bytes),
    environment,
  };
  return fillOutputs(known.storeDirectory, derivation, known.hashOfInput);
}

/** An output's path, or what stands for it before it is known. */
function printOutput(known: KnownPaths, { drvPath, derivation }: MadeDerivation, id: string): string {
  const output = derivation.outputs.get(id);
  if (output === undefined)
    throw new DefinitionError("DEFINITION_OUTPUT_UNKNOWN", {
      where: known.where,
      name: derivation.name,
      output: id,
      outputs: [...derivation.outputs.keys()],
    });
  const path = findOutputPath(known.storeDirectory, derivation.name, id, output);
  return path === undefined ? makeUpstreamPlaceholder(drvPath, id) : printStorePath(known.storeDirectory, path);
}

function makeCommand(
  { script, builder, args, world }: DerivationAttributes,
  known: KnownPaths,
  printValue: (value: string | Reference) => string,
): { readonly builder: string; readonly args: readonly string[] } {
  if (script === undefined) return { builder: printValue(builder ?? ""), args: (args ?? []).map(printValue) };
  const shell = known.shellOf(world);
  const strict = shell.endsWith("/bash") ? ["-e", "-u", "-o", "pipefail"] : ["-e", "-u"];
  return { builder: shell, args: [...strict, "-c", typeof script === "string" ? script : script.join("\n")] };
}

function makeOutputs(
  attributes: DerivationAttributes,
  set: (name: string, value: string) => void,
): ReadonlyMap<string, Output> {
  const { fixed } = attributes;
  const hash = fixed?.hash ?? attributes.outputHash;
  const method = fixed?.method ?? attributes.outputHashMode;
  if (hash !== undefined) {
    const parsed = parseHash(hash, attributes.outputHashAlgo);
    const algorithm = fixed === undefined ? attributes.outputHashAlgo : parsed.algorithm;
    set("outputHash", hash);
    if (algorithm !== undefined) set("outputHashAlgo", algorithm);
    if (method !== undefined) set("outputHashMode", method);
    return new Map([["out", { kind: "fixed", method: method ?? "flat", hash: parsed }]]);
  }

  const ids = attributes.outputs ?? ["out"];
  if (attributes.contentAddressed !== true) return new Map(ids.map((id) => [id, { kind: "deferred" }]));
  const algorithm: HashAlgorithm = attributes.outputHashAlgo ?? "sha256";
  const floatingMethod = method ?? "recursive";
  set("outputHashAlgo", algorithm);
  set("outputHashMode", floatingMethod);
  return new Map(ids.map((id) => [id, { kind: "floating", method: floatingMethod, algorithm }]));
}

function isList(value: Value): value is readonly (string | number | boolean | Reference)[] {
  return Array.isArray(value);
}
