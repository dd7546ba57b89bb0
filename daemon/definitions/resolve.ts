/**
 * From descriptions to store paths: what they name is hashed here, the derivations are made from that, and only what the
 * store has not yet is sent. One question to the store when all is there.
 */
import { createHash } from "node:crypto";
import { lstatSync } from "node:fs";
import { join } from "node:path";
import { printDerivation } from "../../derivations/aterm.ts";
import { makeSourcePath, makeTextPath } from "../../derivations/content-address.ts";
import { referencesOf } from "../../derivations/derivation.ts";
import { type DerivationModulo, hashDerivationModulo, makeHashOfInput } from "../../derivations/derivation-hash.ts";
import { CloisterError } from "../../derivations/error.ts";
import { makeSha256 } from "../../derivations/hash.ts";
import { parseFullStorePath, type StoreDirectory, type StorePath } from "../../derivations/store-path.ts";
import { dumpTree, hashTree } from "../../sandbox-native/read-tree.ts";
import type { Service } from "../api/service.ts";
import { type DerivationDescription, printWhere, type Source, type World } from "./description.ts";
import { DefinitionError } from "./errors.ts";
import { searchedDirectories } from "./host-tools.ts";
import { addHostWorld, findHostWorld, type HostWorldPath, type WorldOptions } from "./host-world.ts";
import { type MadeDerivation, makeDerivation } from "./make-derivation.ts";
import { collectNeeds, keyOfSource, keyOfWorld, type Needs, nameOfSource } from "./needs.ts";
import { findShell } from "./shell.ts";

export interface ResolveOptions extends WorldOptions {
  readonly storeDirectory: StoreDirectory;
  /** Such as "x86_64-linux". */
  readonly system: string;
}

/**
 * Makes a derivation, and all that it needs to be built, valid in the store; gives the path of its .drv.
 * Throws DEFINITION_*, SOURCE_*, WORLD_*, DEFINITION_PATH_NOT_VALID, and what the service throws.
 */
export async function resolveDerivation(
  service: Service,
  description: DerivationDescription,
  outputs: "all" | readonly string[],
  options: ResolveOptions,
): Promise<StorePath> {
  const needs = collectNeeds(description);
  checkOutputIds(needs.derivations.at(-1), outputs);
  const { storeDirectory } = options;
  const sources = await hashSources(needs, storeDirectory);
  const worlds = new Map<string, HostWorldPath>();
  const fresh = new Set<StorePath>();
  for (const [key, world] of needs.worlds) {
    const known = findHostWorld(world.programs, options);
    const found = known ?? (await addHostWorld(service, world.programs, options));
    worlds.set(key, found);
    if (known === undefined) fresh.add(found.path);
  }
  const existing = new Map([...needs.storePaths].map(([text]) => [text, parseFullStorePath(storeDirectory, text)]));

  const made = makeAll(needs, { sources, worlds, existing }, options);
  const all = [
    ...sources.values(),
    ...[...worlds.values()].map(({ path }) => path),
    ...existing.values(),
    ...made.texts.keys(),
  ];
  const valid = new Set([...(await service.queryValidPaths([...new Set(all)], options)), ...fresh]);

  for (const [text, path] of existing)
    if (!valid.has(path))
      throw new DefinitionError("DEFINITION_PATH_NOT_VALID", { path: text, where: needs.storePaths.get(text) ?? "" });
  for (const [key, path] of sources)
    if (!valid.has(path)) await addOneSource(service, needs.sources.get(key)?.source, path, options);
  for (const [key, { path }] of worlds) {
    if (valid.has(path)) continue;
    const added = await addHostWorld(service, needs.worlds.get(key)?.programs ?? [], options);
    if (added.path !== path) throw new DefinitionError("WORLD_CHANGED", { path: "the host's files" });
  }
  // The root also if it is there: adding it takes a lease, which holds all that it needs until it is built.
  const missing = [...made.texts].filter(([path]) => !valid.has(path) || path === made.root);
  await addTexts(service, new Map(missing), options);
  return made.root;
}

function checkOutputIds(root: Needs["derivations"][number] | undefined, outputs: "all" | readonly string[]): void {
  if (root === undefined || outputs === "all") return;
  const has = root.attributes.outputs ?? ["out"];
  for (const id of outputs)
    if (!has.includes(id))
      throw new DefinitionError("DEFINITION_OUTPUT_UNKNOWN", {
        where: "the target",
        name: root.attributes.name,
        output: id,
        outputs: has,
      });
}

/** A few at a time: each reads from disk off the main thread. */
async function hashSources(needs: Needs, storeDirectory: StoreDirectory): Promise<Map<string, StorePath>> {
  const paths = new Map<string, StorePath>();
  const pending = [...needs.sources];
  const work = async () => {
    for (let next = pending.shift(); next !== undefined; next = pending.shift()) {
      const [key, { source, where }] = next;
      paths.set(key, await hashSource(source, where, storeDirectory));
    }
  };
  await Promise.all(Array.from({ length: 4 }, work));
  return new Map([...needs.sources.keys()].map((key) => [key, getFrom(paths, key)])); // in their own order again
}

async function hashSource(source: Source, where: string, storeDirectory: StoreDirectory): Promise<StorePath> {
  if (lstatSync(source.path, { throwIfNoEntry: false }) === undefined)
    throw new DefinitionError("SOURCE_NOT_FOUND", { path: source.path, where });
  if (source.exclude !== undefined) return hashFiltered(source, source.exclude, where, storeDirectory);
  try {
    const { narHash } = await hashTree(source.path);
    return makeSourcePath(storeDirectory, nameOfSource(source), makeSha256(narHash));
  } catch (error) {
    if (!(error instanceof CloisterError) || !error.code.startsWith("TREE_")) throw error;
    if (error.code === "TREE_CHANGED")
      throw new DefinitionError("SOURCE_CHANGED", { path: source.path }, { cause: error });
    // It names a place below the source only.
    throw new DefinitionError("SOURCE_UNREADABLE", { path: source.path, reason: error.message }, { cause: error });
  }
}

/** By the archive itself: what is left out must not even be read. */
async function hashFiltered(
  source: Source,
  exclude: readonly string[],
  where: string,
  storeDirectory: StoreDirectory,
): Promise<StorePath> {
  const { dumpFiltered, findPatternFault } = await import("./source-filter.ts");
  const fault = findPatternFault(exclude);
  if (fault !== undefined)
    throw new DefinitionError("DEFINITION_INVALID", { where, problems: [`exclude of ${source.path} ${fault}`] });
  const digest = createHash("sha256");
  for await (const piece of dumpFiltered(source.path, exclude)) digest.update(piece);
  return makeSourcePath(storeDirectory, nameOfSource(source), makeSha256(digest.digest()));
}

async function addOneSource(
  service: Service,
  source: Source | undefined,
  expected: StorePath,
  options: ResolveOptions,
): Promise<void> {
  if (source === undefined) throw new Error("a source was hashed that nobody named");
  const method = { kind: "source", references: [] } as const;
  const { path, exclude } = source;
  const archive =
    exclude === undefined
      ? dumpTree(path, options)
      : (await import("./source-filter.ts")).dumpFiltered(path, exclude, options);
  const info = await service.addSource(nameOfSource(source), method, archive, options);
  if (info.path !== expected) throw new DefinitionError("SOURCE_CHANGED", { path: source.path });
}

interface Text {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly references: readonly StorePath[];
}

/** Adds each after those that it refers to, and several at once where none waits for another. `texts` is in such an order. */
async function addTexts(service: Service, texts: ReadonlyMap<StorePath, Text>, options: ResolveOptions): Promise<void> {
  const added = new Map<StorePath, Promise<unknown>>();
  const add = async ({ name, bytes, references }: Text) => {
    await Promise.all(references.map((path) => added.get(path)));
    await service.addText(name, bytes, references, options);
  };
  const open: Promise<unknown>[] = [];
  for (const [path, text] of texts) {
    const adding = add(text);
    adding.catch(() => {}); // it is awaited below, but another one may fail first
    added.set(path, adding);
    open.push(adding);
    if (open.length >= textsAtOnce) await open.shift();
  }
  await Promise.all(open);
}

const textsAtOnce = 16;

/** Makes each derivation once, in order; equal ones share a .drv. */
function makeAll(
  needs: Needs,
  paths: {
    readonly sources: ReadonlyMap<string, StorePath>;
    readonly worlds: ReadonlyMap<string, HostWorldPath>;
    readonly existing: ReadonlyMap<string, StorePath>;
  },
  { storeDirectory, system }: ResolveOptions,
): { readonly root: StorePath; readonly texts: ReadonlyMap<StorePath, Text> } {
  const made = new Map<DerivationDescription, MadeDerivation>();
  const texts = new Map<StorePath, Text>();
  const modulo = new Map<StorePath, DerivationModulo>();
  const hashOfInput = makeHashOfInput(modulo);
  let root: StorePath | undefined;
  for (const { description, attributes } of needs.derivations) {
    const where = printWhere(description);
    const derivation = makeDerivation(attributes, {
      storeDirectory,
      system,
      where,
      searched: searchedDirectories(),
      hashOfInput,
      pathOf(reference) {
        if (reference.kind === "source") return getFrom(paths.sources, keyOfSource(reference));
        if (reference.kind === "host-world") return getFrom(paths.worlds, keyOfWorld(reference)).path;
        return getFrom(paths.existing, reference.path);
      },
      derivationOf: (input) => getFrom(made, input),
      shellOf: (world) => findWorldShell(world, paths.worlds, where),
    });
    const bytes = printDerivation(storeDirectory, derivation);
    const references = referencesOf(derivation);
    const name = `${derivation.name}.drv`;
    root = makeTextPath(storeDirectory, name, bytes, references);
    made.set(description, { drvPath: root, derivation });
    texts.set(root, { name, bytes, references });
    if (!modulo.has(root)) modulo.set(root, hashDerivationModulo(storeDirectory, derivation, hashOfInput));
  }
  if (root === undefined) throw new Error("there was no derivation to make");
  return { root, texts };
}

/** A host's slice and a directory can be looked into; of any other world it is known that it has a shell, or it cannot run scripts. */
function findWorldShell(world: World, worlds: ReadonlyMap<string, HostWorldPath>, where: string): string {
  if (world === "none") throw new DefinitionError("DEFINITION_NO_SHELL", { where, world: 'the world "none"' });
  if (world.kind === "host-world") {
    const { shell } = getFrom(worlds, keyOfWorld(world));
    if (shell !== undefined) return shell;
    throw new DefinitionError("DEFINITION_NO_SHELL", { where, world: `the world of ${world.programs.join(", ")}` });
  }
  if (world.kind !== "source") return "/bin/sh";
  const shell = findShell((path) => lstatSync(join(world.path, path), { throwIfNoEntry: false }) !== undefined);
  if (shell !== undefined) return shell;
  throw new DefinitionError("DEFINITION_NO_SHELL", { where, world: world.path });
}

function getFrom<Key, Value>(map: ReadonlyMap<Key, Value>, key: Key): Value {
  const value = map.get(key);
  if (value === undefined) throw new Error(`${String(key)} was used, but not collected before`);
  return value;
}
