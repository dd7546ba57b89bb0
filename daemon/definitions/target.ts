/**
 * What a person names on a command line: `FILE`, `FILE#NAME`, a folder with a definition in it, a `.drv` file, a store
 * path; each with `^out,dev` behind it for some of the outputs only.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, extname, join, resolve } from "node:path";
import type { DerivedPath } from "../../derivations/derived-path.ts";
import { isDerivationPath, parseFullStorePath } from "../../derivations/store-path.ts";
import { findNearest } from "../api/nearest.ts";
import type { Service } from "../api/service.ts";
import { type ChosenOutput, type DerivationDescription, isDerivation, isReference } from "./description.ts";
import { DefinitionError } from "./errors.ts";
import { loadModule, moduleExtensions } from "./module.ts";
import { type ResolveOptions, resolveDerivation } from "./resolve.ts";

export type Target =
  | {
      readonly kind: "derivation";
      readonly derivation: DerivationDescription;
      readonly outputs: "all" | readonly string[];
    }
  /** A .drv file or a store path, which only a store can tell apart; absolute. */
  | { readonly kind: "path"; readonly path: string; readonly outputs: "all" | readonly string[] };

/** The files that stand for a folder, in the order in which they are looked for. */
export const folderDefinitions: readonly string[] = [
  "cloister.ts",
  "cloister.mts",
  "cloister.js",
  "cloister.mjs",
  "cloister.json",
];

/** Evaluates what a target names. Throws DEFINITION_* errors. */
export async function loadTarget(text: string, options: { readonly cwd: string }): Promise<Target> {
  const { file, name, targets } = await load(text, options.cwd);
  const [only] = targets.values();
  if (only === undefined || targets.size > 1)
    throw new DefinitionError("DEFINITION_EXPORT_AMBIGUOUS", {
      file,
      name: name ?? "default",
      names: [...targets.keys()],
    });
  return only;
}

/** The same, where a target that holds several derivations stands for all of them. */
export async function loadTargets(text: string, options: { readonly cwd: string }): Promise<readonly Target[]> {
  return [...(await load(text, options.cwd)).targets.values()];
}

/** Makes the derivations of a target and all it needs valid in the store; builds nothing. */
export async function resolveTarget(service: Service, target: Target, options: ResolveOptions): Promise<DerivedPath> {
  if (target.kind === "derivation") {
    const drvPath = await resolveDerivation(service, target.derivation, target.outputs, options);
    return { kind: "built", drvPath, outputs: target.outputs };
  }
  const { storeDirectory } = options;
  if (dirname(target.path) === storeDirectory) {
    const path = parseFullStorePath(storeDirectory, target.path);
    if (!isDerivationPath(path)) return { kind: "opaque", path };
    const isValid = (await service.queryValidPaths([path], options)).length > 0;
    if (isValid || kindOfFile(target.path) === undefined)
      return { kind: "built", drvPath: path, outputs: target.outputs };
  }
  if (!target.path.endsWith(".drv")) throw new DefinitionError("DEFINITION_KIND_UNKNOWN", { file: target.path });
  const { addDrvFile } = await import("./drv.ts");
  return { kind: "built", drvPath: await addDrvFile(service, target.path, options), outputs: target.outputs };
}

interface Loaded {
  readonly file: string;
  readonly name: string | undefined;
  /** By name inside the definition. */
  readonly targets: ReadonlyMap<string, Target>;
}

async function load(text: string, cwd: string): Promise<Loaded> {
  const { place, name, outputs } = split(text, cwd);
  const absolute = resolve(cwd, place);
  if (storePathName.test(basename(absolute)) || absolute.endsWith(".drv")) {
    const isInStore = storePathName.test(basename(absolute));
    if (!isInStore && kindOfFile(absolute) === undefined) throw notFound(text, absolute);
    return { file: absolute, name, targets: new Map([["", { kind: "path", path: absolute, outputs }]]) };
  }
  const file = findDefinition(text, absolute);
  const found = await loadDerivations(file, name, []);
  const targets = [...found].map(([key, value]): [string, Target] => {
    const isOutput = value.kind === "output";
    const chosen = isOutput && outputs === "all" ? [value.id] : outputs;
    return [key, { kind: "derivation", derivation: isOutput ? value.derivation : value, outputs: chosen }];
  });
  return { file, name, targets: new Map(targets) };
}

/** `#NAME` and `^OUTPUTS` behind a file name; a file that has such a name as a whole is meant itself. */
function split(
  text: string,
  cwd: string,
): { readonly place: string; readonly name?: string; readonly outputs: "all" | readonly string[] } {
  if (kindOfFile(resolve(cwd, text)) !== undefined) return { place: text, outputs: "all" };
  const [, place = text, name, outputs] = /^(.+?)(?:#([^#^]+))?(?:\^([^#^]+))?$/.exec(text) ?? [];
  return {
    place,
    ...(name !== undefined && { name }),
    outputs: outputs === undefined || outputs === "*" ? "all" : outputs.split(","),
  };
}

/** Throws DEFINITION_NOT_FOUND, DEFINITION_FOLDER_EMPTY, DEFINITION_KIND_UNKNOWN. */
function findDefinition(text: string, absolute: string): string {
  const kind = kindOfFile(absolute);
  if (kind === undefined) throw notFound(text, absolute);
  if (kind === "file") {
    if (extname(absolute) !== ".json" && !moduleExtensions.includes(extname(absolute)))
      throw new DefinitionError("DEFINITION_KIND_UNKNOWN", { file: absolute });
    return absolute;
  }
  const file = folderDefinitions.map((name) => join(absolute, name)).find((each) => kindOfFile(each) === "file");
  if (file !== undefined) return file;
  const shown = (names: readonly string[]) => names.slice(0, 5).map((name) => join(text.split("#")[0] ?? text, name));
  const own = listDefinitions(absolute);
  throw new DefinitionError("DEFINITION_FOLDER_EMPTY", {
    folder: absolute,
    wanted: "cloister.ts (or .mts, .js, .mjs, .json)",
    definitions: shown(own.length > 0 ? own : listDefinitionsInside(absolute)),
  });
}

/** One level down: people keep a folder for each. */
function listDefinitionsInside(folder: string): string[] {
  try {
    const inner = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    return inner.flatMap(({ name }) => listDefinitions(join(folder, name)).map((each) => join(name, each))).sort();
  } catch {
    return [];
  }
}

function notFound(text: string, absolute: string) {
  const names = listDefinitions(dirname(absolute));
  const wanted = basename(absolute);
  const sameStem = names.filter((name) => basename(name, extname(name)) === basename(wanted, extname(wanted)));
  const nearest = [...new Set([...sameStem, ...findNearest(wanted, names)])]
    .slice(0, 3)
    .map((name) => join(dirname(absolute), name));
  return new DefinitionError("DEFINITION_NOT_FOUND", { target: text, file: absolute, nearest });
}

function listDefinitions(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => [...moduleExtensions, ".json", ".drv"].includes(extname(name)))
      .sort();
  } catch {
    return []; // a suggestion is a courtesy: the error that it goes with is thrown all the same
  }
}

type Derivations = ReadonlyMap<string, DerivationDescription | ChosenOutput>;

/** The derivations that a file's export (or JSON object) holds. `open` has those that are being read already. */
async function loadDerivations(file: string, name: string | undefined, open: readonly string[]): Promise<Derivations> {
  const key = `${file}${name === undefined ? "" : `#${name}`}`;
  if (open.includes(key))
    throw new DefinitionError("DEFINITION_CYCLE", { names: [...open.slice(open.indexOf(key)), key] });
  if (extname(file) === ".json") return loadJson(file, name, [...open, key]);
  return collect(file, name ?? "default", await pickExport(file, await loadModule(file), name));
}

async function loadJson(file: string, name: string | undefined, open: readonly string[]): Promise<Derivations> {
  const loadOther = async (other: string, otherName: string | undefined): Promise<DerivationDescription> => {
    if (kindOfFile(other) !== "file") throw notFound(other, other);
    const found = await loadDerivations(other, otherName, open);
    const [only] = found.values();
    if (only === undefined || found.size > 1)
      throw new DefinitionError("DEFINITION_EXPORT_AMBIGUOUS", {
        file: other,
        name: otherName ?? "default",
        names: [...found.keys()],
      });
    return only.kind === "output" ? only.derivation : only;
  };
  const { describeJson, parseJsonDefinition } = await import("./json.ts");
  const definition = parseJsonDefinition(file, readText(file));
  if (definition.kind === "one") {
    if (name !== undefined) throw missingExport(file, name, []);
    return new Map([["", await describeJson(file, file, definition.value, loadOther)]]);
  }
  const names = Object.keys(definition.values);
  if (name !== undefined && !names.includes(name)) throw missingExport(file, name, names);
  const derivations = new Map<string, DerivationDescription>();
  for (const each of name === undefined ? names : [name])
    derivations.set(each, await describeJson(file, `${file}#${each}`, definition.values[each], loadOther));
  return derivations;
}

/** An export, or what lies below it by names with dots between; a name that no export has is looked for in the default one. */
async function pickExport(
  file: string,
  exports: Readonly<Record<string, unknown>>,
  name: string | undefined,
): Promise<unknown> {
  const [first = "default", ...rest] = name?.split(".") ?? [];
  const fallback = await exports.default;
  const isInDefault = !(first in exports) && isPlain(fallback) && first in fallback;
  if (!(first in exports) && !isInDefault) throw missingExport(file, name ?? "default", Object.keys(exports));
  let value = await (isInDefault ? fallback[first] : exports[first]);
  for (const part of rest) {
    if (!isPlain(value) || !(part in value))
      throw missingExport(file, name ?? "default", isPlain(value) ? Object.keys(value) : []);
    value = await value[part];
  }
  return value;
}

/** The derivations in an exported value: itself, or those in an array or object. Throws DEFINITION_NOT_A_DERIVATION. */
async function collect(file: string, name: string, value: unknown): Promise<Derivations> {
  if (isBuildable(value)) return new Map([["", value]]);
  const found = new Map<string, DerivationDescription | ChosenOutput>();
  if (isPlain(value) && !isReference(value))
    for (const [key, each] of Object.entries(value)) {
      const inner: unknown = await each;
      if (!isBuildable(inner))
        throw new DefinitionError("DEFINITION_NOT_A_DERIVATION", { file, name: key, found: describeKind(inner) });
      found.set(name === "default" ? key : `${name}.${key}`, inner);
    }
  if (found.size === 0)
    throw new DefinitionError("DEFINITION_NOT_A_DERIVATION", { file, name, found: describeKind(value) });
  return found;
}

function isBuildable(value: unknown): value is DerivationDescription | ChosenOutput {
  return isDerivation(value) || (isReference(value) && value.kind === "output");
}

function describeKind(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (isReference(value)) return `a ${value.kind}`;
  if (Array.isArray(value)) return value.length === 0 ? "an empty array" : "an array";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

function missingExport(file: string, name: string, exports: readonly string[]) {
  const nearest = findNearest(name, exports);
  return new DefinitionError("DEFINITION_EXPORT_MISSING", { file, name, exports, nearest });
}

function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

function kindOfFile(path: string): "file" | "directory" | undefined {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return undefined;
  return stats.isDirectory() ? "directory" : "file";
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new DefinitionError("DEFINITION_UNREADABLE", { file, reason }, { cause: error });
  }
}

const storePathName = /^[0-9abcdfghijklmnpqrsvwxyz]{32}-/;
