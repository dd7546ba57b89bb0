/**
 * What a build is made from: the outputs that it uses of its input derivations, all valid by now, its sources, and all
 * that these refer to. A derivation whose inputs were floating is resolved first: their paths are put in place of the
 * placeholders. Source: Nix manual, "Resolving derivations"; Nix libstore/derivations.cc.
 */
import { printDerivation } from "../../derivations/aterm.ts";
import { type Derivation, referencesOf } from "../../derivations/derivation.ts";
import { fillOutputs } from "../../derivations/derivation-hash.ts";
import { makeUpstreamPlaceholder } from "../../derivations/placeholder.ts";
import { printStorePath, type StoreDirectory, type StorePath } from "../../derivations/store-path.ts";
import { addText } from "../../store/add.ts";
import type { BuildContext, Subject } from "./context.ts";
import { BuildError } from "./errors.ts";
import { findValidOutput } from "./known-outputs.ts";
import { makeReplacements, replaceBytes } from "./replace-bytes.ts";

/** A derivation that can be built as it is, and the path of its .drv: another one if it had to be resolved. */
export interface Buildable {
  readonly drvPath: StorePath;
  readonly derivation: Derivation;
}

/** The output of an input derivation: a path, and whether the derivation had only a placeholder for it. */
interface UsedOutput {
  readonly drvPath: StorePath;
  readonly outputId: string;
  readonly path: StorePath;
}

/**
 * The derivation to build in place of one that `needsResolving`; its .drv is added to the store.
 * Throws BUILD_INPUT_MISSING.
 */
export async function resolve(
  context: BuildContext,
  subject: Subject,
  buildable: Buildable,
  leaseOwner: string,
): Promise<Buildable> {
  const { drvPath, derivation } = buildable;
  const { directory } = context.store;
  const resolved = resolveDerivation(directory, derivation, findUsedOutputs(context, subject, derivation));
  const contents = printDerivation(directory, resolved);
  const name = `${derivation.name}.drv`;
  const resolvedPath = await addText(context.store, name, contents, referencesOf(resolved), { leaseOwner });
  return resolvedPath === drvPath ? buildable : { drvPath: resolvedPath, derivation: resolved };
}

/** Puts the paths of all used outputs in place of their placeholders; what is used is an input source from then on. */
export function resolveDerivation(
  directory: StoreDirectory,
  derivation: Derivation,
  used: readonly UsedOutput[],
): Derivation {
  const replacements = makeReplacements(
    used.map(({ drvPath, outputId, path }) => [
      makeUpstreamPlaceholder(drvPath, outputId),
      printStorePath(directory, path),
    ]),
  );
  const replace = (value: Uint8Array) => replaceBytes(value, replacements);
  const resolved: Derivation = {
    ...derivation,
    inputDerivations: new Map(),
    inputSources: new Set([...derivation.inputSources, ...used.map(({ path }) => path)]),
    builder: replace(derivation.builder),
    args: derivation.args.map(replace),
    environment: new Map(Array.from(derivation.environment, ([name, value]) => [name, replace(value)])),
  };
  return fillOutputs(directory, resolved, (path) => {
    throw new Error(`a resolved derivation has no input derivations, but ${path} was asked for`);
  });
}

/** All store paths that the build may see. Throws BUILD_INPUT_MISSING. */
export function findInputClosure(context: BuildContext, subject: Subject, derivation: Derivation): InputClosure {
  const { graph, directory } = context.store;
  const direct = new Set(derivation.inputSources);
  for (const { path } of findUsedOutputs(context, subject, derivation)) direct.add(path);
  for (const path of direct)
    if (!graph.has(path))
      throw new BuildError("BUILD_INPUT_MISSING", { ...subject, path: printStorePath(directory, path) });
  return new InputClosure(graph.closure(direct, "forward"));
}

export class InputClosure {
  /** Dependencies first. */
  readonly inOrder: StorePath[];
  #all: ReadonlySet<StorePath> | undefined;

  constructor(inOrder: StorePath[]) {
    this.inOrder = inOrder;
  }

  /** The same as a set, which few builds need, and which takes as long to make as all the rest. */
  get all(): ReadonlySet<StorePath> {
    this.#all ??= new Set(this.inOrder);
    return this.#all;
  }
}

function findUsedOutputs(context: BuildContext, subject: Subject, derivation: Derivation): UsedOutput[] {
  const { store } = context;
  const used: UsedOutput[] = [];
  for (const [drvPath, outputIds] of derivation.inputDerivations) {
    const input = store.derivations.get(drvPath);
    for (const outputId of outputIds) {
      const path = findValidOutput(store, drvPath, input, outputId);
      if (path === undefined)
        throw new BuildError("BUILD_INPUT_MISSING", {
          ...subject,
          path: `${printStorePath(store.directory, drvPath)}^${outputId}`,
        });
      used.push({ drvPath, outputId, path });
    }
  }
  return used;
}

/** Whether the derivation's outputs are known only once it is resolved, or it has placeholders for those of its inputs. */
export function needsResolving(context: BuildContext, derivation: Derivation): boolean {
  if (derivation.inputDerivations.size === 0) return false;
  for (const output of derivation.outputs.values())
    if (output.kind === "floating" || output.kind === "deferred") return true;
  for (const [drvPath, outputIds] of derivation.inputDerivations) {
    const input = context.store.derivations.get(drvPath);
    for (const id of outputIds) {
      const kind = input.outputs.get(id)?.kind;
      if (kind === "floating" || kind === "deferred") return true;
    }
  }
  return false;
}
