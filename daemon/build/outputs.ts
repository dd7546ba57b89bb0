/**
 * What came out of a build becomes what can be registered: each output there and not refused, promised hashes kept, paths
 * of floating outputs found, references named.
 */
import { type Hash, hashesEqual, printHash } from "../../derivations/hash.ts";
import { hashPartOf, printStorePath, type StorePath } from "../../derivations/store-path.ts";
import type { BuildAnswer, SealedOutput } from "../../sandbox-native/launcher.ts";
import { BuildError } from "./errors.ts";
import { settleFloating } from "./floating-outputs.ts";
import type { PlannedOutput, PreparedBuild } from "./jail-for.ts";
import {
  type Made,
  PathOf,
  referencesOf,
  type SettleContext,
  type SettledOutput,
  scannedPaths,
  settledAs,
} from "./settled-output.ts";

/**
 * Throws BUILD_OUTPUT_MISSING, BUILD_OUTPUT_REFUSED, BUILD_OUTPUT_HASH_MISMATCH, BUILD_OUTPUT_CYCLE,
 * BUILD_REFERENCE_FORBIDDEN (of a fixed output), CONTENT_ADDRESS_REFERENCES, and what rewriting throws.
 */
export async function settleOutputs(
  context: SettleContext,
  build: PreparedBuild,
  answer: BuildAnswer,
): Promise<SettledOutput[]> {
  const made = findMade(context, build, answer);
  const inOrder = orderOutputs(context, made);
  const pathOf = new PathOf(context.store.graph);
  for (const { scratchPath, finalPath } of build.outputs)
    if (finalPath !== undefined) pathOf.set(hashPartOf(scratchPath), finalPath);

  const settled: SettledOutput[] = [];
  for (const one of inOrder) {
    switch (one.planned.output.kind) {
      case "input-addressed":
        settled.push(settleInputAddressed(build, one, pathOf));
        break;
      case "fixed":
        settled.push(settleFixed(context, build, one, one.planned.output, pathOf));
        break;
      case "floating":
        settled.push(await settleFloating(context, build, one, one.planned.output, pathOf));
        break;
      case "deferred":
        throw new Error(`${build.drvPath} was built before the path of ${one.planned.id} was known`);
      default:
        one.planned.output satisfies never;
    }
  }
  return settled;
}

function findMade({ subject, store }: SettleContext, build: PreparedBuild, answer: BuildAnswer): Made[] {
  return build.outputs.map((planned) => {
    const found = answer.outputs.find((output) => output.name === planned.scratchPath);
    const path = printStorePath(store.directory, planned.finalPath ?? planned.scratchPath);
    const about = { ...subject, outputId: planned.id };
    if (found === undefined || found.kind === "missing")
      throw new BuildError("BUILD_OUTPUT_MISSING", { ...about, path });
    if (found.kind === "refused")
      throw new BuildError("BUILD_OUTPUT_REFUSED", {
        ...about,
        path: found.path === "" ? path : `${path}/${found.path}`,
        refusal: found.code,
        reason: reasons[found.code] ?? "it has what a store object may not have",
      });
    return { planned, sealed: found };
  });
}

const reasons: Readonly<Record<string, string>> = {
  OUTPUT_SPECIAL_FILE: "it has a device, a FIFO or a socket in it",
  OUTPUT_FOREIGN_OWNER: "it has something in it that belongs to another user",
  OUTPUT_TOP_WRITABLE: "its top is writable by others than its owner",
  OUTPUT_TOO_DEEP: "its directories are nested too deep",
  OUTPUT_TARGET_INVALID: "it has a symbolic link whose target no archive can hold",
  TREE_NOT_FLAT: "it was promised to be one file that is not executable",
};

/** What is referred to comes before what refers to it. */
function orderOutputs({ subject }: SettleContext, made: readonly Made[]): readonly Made[] {
  if (made.length === 1) return made;
  const left = new Map(made.map((one) => [hashPartOf(one.planned.scratchPath), one]));
  const ordered: Made[] = [];
  while (left.size > 0) {
    const ready = [...left].filter(
      ([own, { sealed }]) => !sealed.references.some((part) => part !== own && left.has(part)),
    );
    if (ready.length === 0) {
      const outputIds = [...left.values()].map(({ planned }) => planned.id).sort();
      throw new BuildError("BUILD_OUTPUT_CYCLE", { ...subject, outputIds });
    }
    for (const [part, one] of ready) {
      ordered.push(one);
      left.delete(part);
    }
  }
  return ordered;
}

function settleInputAddressed(build: PreparedBuild, { planned, sealed }: Made, pathOf: PathOf): SettledOutput {
  const path = finalPathOf(planned);
  const scanned = scannedPaths(sealed, pathOf);
  return settledAs(build, planned, sealed, path, scanned, referencesOf(build, planned, scanned));
}

function settleFixed(
  { subject, store }: SettleContext,
  build: PreparedBuild,
  { planned, sealed }: Made,
  promised: PlannedOutput["output"] & { kind: "fixed" },
  pathOf: PathOf,
): SettledOutput {
  const path = finalPathOf(planned);
  const got: Hash = { algorithm: promised.hash.algorithm, bytes: hashOf(sealed) };
  const about = { ...subject, outputId: planned.id };
  if (!hashesEqual(got, promised.hash))
    throw new BuildError("BUILD_OUTPUT_HASH_MISMATCH", {
      ...about,
      path: printStorePath(store.directory, path),
      expected: printHash(promised.hash, "sri"),
      got: printHash(got, "sri"),
    });
  const scanned = scannedPaths(sealed, pathOf);
  if (scanned.size > 0)
    throw new BuildError("BUILD_REFERENCE_FORBIDDEN", {
      ...about,
      rule: "a fixed hash",
      references: [...scanned].sort().map((reference) => printStorePath(store.directory, reference)),
    });
  const contentAddress = { method: promised.method, hash: promised.hash };
  return settledAs(build, planned, sealed, path, scanned, scanned, contentAddress);
}

function finalPathOf({ finalPath, id }: PlannedOutput): StorePath {
  if (finalPath === undefined) throw new Error(`the path of the output ${id} is not known`);
  return finalPath;
}

function hashOf({ hash, stagingName }: SealedOutput): Uint8Array {
  if (hash === undefined) throw new Error(`the launcher did not hash ${stagingName} as it was asked to`);
  return hash;
}
