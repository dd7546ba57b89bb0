/**
 * Closures told to the builder (`exportReferencesGraph`): in a file of lines, or as JSON among the structured attributes.
 * Source: Nix manual, "exportReferencesGraph"; Nix libstore/store-api.cc (makeValidityRegistration, pathInfoToJSON).
 */
import { bytes } from "../../derivations/bytes.ts";
import { printContentAddress } from "../../derivations/content-address.ts";
import { printHash } from "../../derivations/hash.ts";
import { isDerivationPath, parseStorePath, printStorePath, type StorePath } from "../../derivations/store-path.ts";
import type { Store } from "../../store/store.ts";
import type { GraphExport } from "./attributes.ts";
import type { BuildContext, Subject } from "./context.ts";
import type { BuildFile } from "./environment.ts";
import { BuildError } from "./errors.ts";
import type { Json, JsonObject } from "./json.ts";
import { findOutput } from "./known-outputs.ts";

/**
 * A file for each export: for each path of the closure, sorted, a line with the path, an empty one (its deriver is not
 * told), one with the number of references, and one for each of these. Throws BUILD_ATTRIBUTE_INVALID.
 */
export function makeGraphFiles(
  context: BuildContext,
  subject: Subject,
  exports: readonly GraphExport[],
  inputs: ReadonlySet<StorePath>,
): BuildFile[] {
  const { store } = context;
  return exports.map((graph) => {
    const lines: string[] = [];
    for (const path of exportedPaths(context, subject, graph, inputs)) {
      const references = store.graph.references(path).sort();
      lines.push(printStorePath(store.directory, path), "", String(references.length));
      for (const reference of references) lines.push(printStorePath(store.directory, reference));
    }
    return { name: graph.name, contents: bytes(lines.map((line) => `${line}\n`).join("")), executable: false };
  });
}

/** A list of objects for each export, one for each path of the closure, sorted. Throws BUILD_ATTRIBUTE_INVALID. */
export function makeGraphObjects(
  context: BuildContext,
  subject: Subject,
  exports: readonly GraphExport[],
  inputs: ReadonlySet<StorePath>,
): JsonObject {
  return Object.fromEntries(
    exports.map((graph) => [
      graph.name,
      exportedPaths(context, subject, graph, inputs).map((path) => describePath(context.store, path)),
    ]),
  );
}

function describePath(store: Store, path: StorePath): Json {
  const info = store.findPathInfo(path);
  if (info === undefined) throw new Error(`${path} is in a closure, but is not valid`);
  let closureSize = 0n;
  for (const needed of store.graph.closure([path], "forward")) closureSize += store.findPathInfo(needed)?.narSize ?? 0n;
  return {
    ...(info.contentAddress && { ca: printContentAddress(info.contentAddress) }),
    closureSize: Number(closureSize),
    narHash: printHash(info.narHash, "base32"),
    narSize: Number(info.narSize),
    path: printStorePath(store.directory, path),
    references: [...info.references].sort().map((reference) => printStorePath(store.directory, reference)),
    valid: true,
  };
}

/** The closure of what is exported, and of the valid outputs of the derivations in it. */
function exportedPaths(
  context: BuildContext,
  subject: Subject,
  graph: GraphExport,
  inputs: ReadonlySet<StorePath>,
): StorePath[] {
  const { store } = context;
  const invalid = (reason: string) =>
    new BuildError("BUILD_ATTRIBUTE_INVALID", { ...subject, attribute: "exportReferencesGraph", reason });
  const start = graph.paths.map((text) => {
    const path = findStorePath(store, text);
    if (path === undefined) throw invalid(`${JSON.stringify(text)} is not in ${store.directory}`);
    if (!inputs.has(path)) throw invalid(`${text} is not among the inputs`);
    return path;
  });
  const closure = store.graph.closure(start, "forward");
  const outputs: StorePath[] = [];
  for (const path of closure) {
    if (!isDerivationPath(path)) continue;
    const derivation = store.derivations.get(path);
    for (const id of derivation.outputs.keys()) {
      const output = findOutput(store, path, derivation, id);
      if (output === undefined || !inputs.has(output))
        throw invalid(`the output ${id} of ${path}, which is in that closure, is not among the inputs`);
      outputs.push(output);
    }
  }
  const all = outputs.length === 0 ? closure : store.graph.closure([...closure, ...outputs], "forward");
  return [...all].sort();
}

/** The store path that a full path is, or lies in. */
function findStorePath(store: Store, text: string): StorePath | undefined {
  if (!text.startsWith(`${store.directory}/`)) return undefined;
  try {
    return parseStorePath(text.slice(store.directory.length + 1).split("/", 1)[0] ?? "");
  } catch {
    return undefined; // any text: the caller says what was wrong with it
  }
}
