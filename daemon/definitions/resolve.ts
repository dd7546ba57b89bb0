/**
 * From descriptions to store paths: what they name is hashed here, the derivations are made from that, and only what the
 * store has not yet is sent. One question to the store when all is there.
 */
import { lstatSync } from "node:fs";
import { basename, join } from "node:path";
import { printDerivation } from "../../derivations/aterm.ts";
import { makeSourcePath, makeTextPath } from "../../derivations/content-address.ts";
import { referencesOf } from "../../derivations/derivation.ts";
import { type DerivationModulo, hashDerivationModulo, makeHashOfInput } from "../../derivations/derivation-hash.ts";
import { CloisterError } from "../../derivations/error.ts";
import { makeSha256 } from "../../derivations/hash.ts";
import { parseFullStorePath, type StoreDirectory, type StorePath } from "../../derivations/store-path.ts";
import { dumpTree, hashTree } from "../../sandbox-native/read-tree.ts";
import type { Service } from "../api/service.ts";
import {
  type DerivationAttributes,
  type DerivationDescription,
  type HostWorld,
  printWhere,
  type Reference,
  type Source,
  type World,
} from "./description.ts";
import { checkDescription } from "./description-schema.ts";
import { DefinitionError } from "./errors.ts";
import { findShell } from "./host-selection.ts";
import { searchedDirectories } from "./host-tools.ts";
import { addHostWorld, findHostWorld, type HostWorldPath, type WorldOptions } from "./host-world.ts";
import { type MadeDerivation, makeDerivation } from "./make-derivation.ts";

export interface ResolveOptions extends WorldOptions {
  readonly storeDirectory: StoreDirectory;
  /** Such as "x86_64-linux". */
  readonly system: string;
}

/**
 * Makes a derivation, and all that it needs to be built, valid in the store; gives the path of its .drv.
 * Throws DEFINITION_*, SOURCE_*, WORLD_*, STORE_PATH_NOT_VALID, and what the service throws.
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
      throw new DefinitionError("STORE_PATH_NOT_VALID", { path: text, where: needs.storePaths.get(text) ?? "" });
  for (const [key, path] of sources)
    if (!valid.has(path)) await addOneSource(service, needs.sources.get(key)?.source, path, options);
  for (const [key, { path }] of worlds) {
    if (valid.has(path)) continue;
    const added = await addHostWorld(service, needs.worlds.get(key)?.programs ?? [], options);
    if (added.path !== path) throw new DefinitionError("WORLD_CHANGED", { path: "the host's files" });
  }
  // The root also if it is there: adding it takes a lease, which holds all that it needs until it is built.
  for (const [path, text] of made.texts)
    if (!valid.has(path) || path === made.root) await service.addText(text.name, text.bytes, text.references, options);
  return made.root;
}

interface Needs {
  /** Inputs before those that use them; the root is last. */
  readonly derivations: readonly {
    readonly description: DerivationDescription;
    readonly attributes: DerivationAttributes;
  }[];
  readonly sources: ReadonlyMap<string, { readonly source: Source; readonly where: string }>;
  readonly worlds: ReadonlyMap<string, HostWorld>;
  /** Where each is used, by full path. */
  readonly storePaths: ReadonlyMap<string, string>;
}

/** Walks the descriptions with a stack of its own: a long chain does no harm. Throws DEFINITION_INVALID, DEFINITION_CYCLE. */
function collectNeeds(root: DerivationDescription): Needs {
  const derivations: { description: DerivationDescription; attributes: DerivationAttributes }[] = [];
  const sources = new Map<string, { source: Source; where: string }>();
  const worlds = new Map<string, HostWorld>();
  const storePaths = new Map<string, string>();
  const state = new Map<DerivationDescription, "open" | "done">();
  const stack: { description: DerivationDescription; attributes?: DerivationAttributes }[] = [{ description: root }];
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    const { description } = top;
    if (top.attributes !== undefined) {
      derivations.push({ description, attributes: top.attributes });
      state.set(description, "done");
      stack.pop();
      continue;
    }
    if (state.get(description) === "done") {
      stack.pop();
      continue;
    }
    if (state.get(description) === "open") throw cycleOf(stack, description);
    state.set(description, "open");
    top.attributes = checkDescription(description);
    const where = printWhere(description);
    for (const reference of referencesIn(top.attributes)) {
      if (reference.kind === "source") sources.set(keyOfSource(reference), { source: reference, where });
      else if (reference.kind === "host-world") worlds.set(keyOfWorld(reference), reference);
      else if (reference.kind === "store-path") storePaths.set(reference.path, where);
      else stack.push({ description: reference.kind === "output" ? reference.derivation : reference });
    }
  }
  return { derivations, sources, worlds, storePaths };
}

type Leaf = Exclude<Reference | World, "none" | { kind: "file" }>;

function referencesIn(attributes: DerivationAttributes): Leaf[] {
  const leaves: Leaf[] = [];
  const add = (value: unknown): void => {
    if (Array.isArray(value)) for (const each of value) add(each);
    if (Array.isArray(value) || typeof value !== "object" || value === null) return;
    const reference = value as Exclude<Reference | World, "none">; // checked before
    if (reference.kind === "file") add(reference.of);
    else leaves.push(reference);
  };
  add(attributes.world);
  Object.values(attributes.inputs ?? {}).forEach(add);
  Object.values(attributes.env ?? {}).forEach(add);
  add(attributes.builder);
  add(attributes.args);
  return leaves;
}

function cycleOf(
  stack: readonly { readonly description: DerivationDescription; readonly attributes?: DerivationAttributes }[],
  again: DerivationDescription,
) {
  const open = stack.filter((each) => each.attributes !== undefined).map(({ description }) => description);
  const names = [...open.slice(open.indexOf(again)), again].map(printWhere);
  return new DefinitionError("DEFINITION_CYCLE", { names });
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

async function addOneSource(
  service: Service,
  source: Source | undefined,
  expected: StorePath,
  options: ResolveOptions,
): Promise<void> {
  if (source === undefined) throw new Error("a source was hashed that nobody named");
  const method = { kind: "source", references: [] } as const;
  const info = await service.addSource(nameOfSource(source), method, dumpTree(source.path, options), options);
  if (info.path !== expected) throw new DefinitionError("SOURCE_CHANGED", { path: source.path });
}

interface Text {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly references: readonly StorePath[];
}

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

function nameOfSource(source: Source): string {
  return source.name ?? basename(source.path);
}

function keyOfSource(source: Source): string {
  return `${source.path}\0${nameOfSource(source)}`;
}

function keyOfWorld(world: HostWorld): string {
  return JSON.stringify([...new Set(world.programs)].sort());
}

function getFrom<Key, Value>(map: ReadonlyMap<Key, Value>, key: Key): Value {
  const value = map.get(key);
  if (value === undefined) throw new Error(`${String(key)} was used, but not collected before`);
  return value;
}
