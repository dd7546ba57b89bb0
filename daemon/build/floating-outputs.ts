/**
 * Floating outputs: built at a scratch path, and moved to the path that follows from their contents.
 * Source: Nix manual, "Content-addressing derivation outputs"; Nix libstore/unix/build/derivation-builder.cc.
 */
import { makeFixedOutputPath, outputPathName } from "../../derivations/content-address.ts";
import type { FloatingOutput } from "../../derivations/output.ts";
import { hashPartOf } from "../../derivations/store-path.ts";
import type { Launcher, SealedOutput } from "../../sandbox-native/launcher.ts";
import type { PreparedBuild } from "./jail-for.ts";
import {
  type Made,
  type PathOf,
  referencesOf,
  type SettleContext,
  type SettledOutput,
  scannedPaths,
  settledAs,
} from "./settled-output.ts";

/**
 * In the contents, scratch paths of other outputs (settled before, so in `pathOf`) are replaced by their final ones; the
 * path is made from the result with its own hash part blanked; then that is replaced too. Throws
 * CONTENT_ADDRESS_REFERENCES, and what rewriting throws.
 */
export async function settleFloating(
  context: SettleContext,
  build: PreparedBuild,
  { planned, sealed: asBuilt }: Made,
  { method, algorithm }: FloatingOutput,
  pathOf: PathOf,
): Promise<SettledOutput> {
  const own = hashPartOf(planned.scratchPath);
  const pairs: { from: string; to: string }[] = [];
  for (const { scratchPath } of build.outputs) {
    const from = hashPartOf(scratchPath);
    const final = pathOf.get(from);
    if (final !== undefined && asBuilt.references.includes(from)) pairs.push({ from, to: hashPartOf(final) });
  }
  const candidates = [...build.order.candidates, ...pairs.map(({ to }) => to)];
  const hashes =
    method === "recursive"
      ? ({ hash: { method, algorithm }, selfHashPart: own } as const)
      : ({ hash: { method: "flat", algorithm } } as const);
  let sealed = asBuilt;
  if (pairs.length > 0) sealed = await rewrite(context, sealed, { pairs, candidates, ...hashes });

  const self = sealed.references.includes(own) && !build.attributes.discardsReferences(planned.id);
  const scanned = scannedPaths(sealed, pathOf);
  const references = new Set(referencesOf(build, planned, scanned));
  const digest = method === "recursive" ? sealed.moduloSelfHash : sealed.hash;
  if (digest === undefined) throw new Error(`the launcher did not hash ${planned.scratchPath} as it was asked to`);

  const contentAddress = { method, hash: { algorithm, bytes: digest } };
  const name = outputPathName(build.derivation.name, planned.id);
  const path = makeFixedOutputPath(context.store.directory, name, contentAddress, { others: references, self });
  pathOf.set(own, path);
  pathOf.set(hashPartOf(path), path); // as the outputs that are settled after it will name it

  if (self) {
    const to = hashPartOf(path);
    sealed = await rewrite(context, sealed, { pairs: [{ from: own, to }], candidates: [...candidates, to] });
    scanned.add(path);
    references.add(path);
  }
  return settledAs(build, planned, sealed, path, scanned, references, contentAddress);
}

async function rewrite(
  { launcher, staged }: SettleContext,
  sealed: SealedOutput,
  order: Omit<Parameters<Launcher["rewrite"]>[0], "stagingName">,
): Promise<SealedOutput> {
  const rewritten = await launcher.rewrite({ stagingName: sealed.stagingName, ...order });
  staged.add(rewritten.stagingName);
  return rewritten;
}
