/** The paths that a derivation's outputs have, as far as they are known, and which of them are valid. */
import { type Derivation, outputPathOf } from "../../derivations/derivation.ts";
import type { StorePath } from "../../derivations/store-path.ts";
import type { Store } from "../../store/store.ts";
import type { Buildable } from "./inputs.ts";

/** From the derivation itself, or from the store, which remembers what a floating or deferred output came out as. */
export function findOutput(
  store: Store,
  drvPath: StorePath,
  derivation: Derivation,
  outputId: string,
): StorePath | undefined {
  return (
    outputPathOf(store.directory, derivation, outputId) ?? store.derivationOutputs(drvPath).get(outputId) ?? undefined
  );
}

/** As `findOutput`, but only if the path is valid. */
export function findValidOutput(
  store: Store,
  drvPath: StorePath,
  derivation: Derivation,
  outputId: string,
): StorePath | undefined {
  const path = findOutput(store, drvPath, derivation, outputId);
  return path !== undefined && store.graph.has(path) ? path : undefined;
}

/** All outputs by id if each of these ids is valid, else undefined. */
export function findValidOutputs(
  store: Store,
  drvPath: StorePath,
  derivation: Derivation,
  outputIds: Iterable<string> = derivation.outputs.keys(),
): Record<string, StorePath> | undefined {
  const outputs: Record<string, StorePath> = {};
  for (const id of outputIds) {
    const path = findValidOutput(store, drvPath, derivation, id);
    if (path === undefined) return undefined;
    outputs[id] = path;
  }
  return outputs;
}

/**
 * For a derivation that was resolved: if the resolved one's outputs are valid already, they are its own from now on.
 * Two derivations that differ only in how their inputs were made resolve to one, which is built once.
 */
export async function adoptOutputs(
  store: Store,
  drvPath: StorePath,
  resolved: Buildable,
): Promise<Record<string, StorePath> | undefined> {
  const outputs = findValidOutputs(store, resolved.drvPath, resolved.derivation);
  if (outputs !== undefined) await noteOutputs(store, drvPath, outputs);
  return outputs;
}

/** Remembers what the outputs of a derivation came out as, where the derivation itself does not say. */
export async function noteOutputs(store: Store, drvPath: StorePath, outputs: Record<string, StorePath>): Promise<void> {
  const derivationOutputs = Object.entries(outputs).map(([outputId, path]) => ({ drvPath, outputId, path }));
  await store.registrar.register({ infos: [], derivationOutputs });
}
