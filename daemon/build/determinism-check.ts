/** One more build of outputs that are valid: equal, or kept beside the first so that they can be compared. */
import { hashesEqual, printHash } from "../../derivations/hash.ts";
import { printStorePath, type StorePath } from "../../derivations/store-path.ts";
import type { ComparedOutput } from "../../derivations/verdict.ts";
import { insideIds, type JailSpec, plainJail } from "../../sandbox-native/jail-spec.ts";
import { dumpTree } from "../../sandbox-native/read-tree.ts";
import { moveAside } from "../../store/commit-outputs.ts";
import type { Store } from "../../store/store.ts";
import { compareTrees } from "./compare-trees.ts";
import { buildDirectoryInside } from "./environment.ts";
import { BuildError } from "./errors.ts";
import type { DifferenceFacts } from "./explain-difference.ts";
import type { SettleContext, SettledOutput } from "./settled-output.ts";

/** Each output by the hash of its archive, beside that of the valid one. */
export function compareOutputs(
  store: Store,
  firsts: ReadonlyMap<string, StorePath>,
  outputs: readonly SettledOutput[],
): Record<string, ComparedOutput> {
  const compared: Record<string, ComparedOutput> = {};
  for (const { id, info } of outputs) {
    const path = firsts.get(id);
    const first = path && store.findPathInfo(path);
    if (path === undefined || first === undefined) continue;
    const narHash = printHash(first.narHash, "base32");
    compared[id] = { path, narHash, otherNarHash: printHash(info.narHash, "base32") };
  }
  return compared;
}

/** One that has come to its end. */
export interface Check {
  /** What is in the store, by output id. */
  readonly firsts: ReadonlyMap<string, StorePath>;
  readonly startedAtMs: number;
  readonly spec: JailSpec;
}

/**
 * Compares by the hash of the archive. An output that differs is kept as `PATH.check`, in place of what an earlier check
 * left there. Throws BUILD_NOT_DETERMINISTIC for the first such output.
 */
export async function checkDeterminism(
  context: SettleContext,
  check: Check,
  outputs: readonly SettledOutput[],
): Promise<void> {
  const { store, subject, staged } = context;
  const { firsts } = check;
  let failure: InstanceType<typeof BuildError<"BUILD_NOT_DETERMINISTIC">> | undefined;
  for (const { id, info, stagingName } of outputs) {
    const first = firsts.get(id);
    if (first === undefined || isSame(store, first, info.narHash)) continue;

    const second = `${first}.check`;
    await moveAside(store, stagingName, second);
    staged.delete(stagingName);
    const [left, right] = [first, second].map((name) => `${store.layout.realStoreDirectory}/${name}`) as [
      string,
      string,
    ];
    const files = await compareTrees(dumpTree(left), dumpTree(right), {
      explain: { left, right, facts: factsOf(store, check) },
    });
    failure ??= new BuildError("BUILD_NOT_DETERMINISTIC", {
      ...subject,
      outputId: id,
      path: printStorePath(store.directory, first),
      second: `${store.directory}/${second}`,
      files,
    });
  }
  if (failure !== undefined) throw failure;
}

function isSame(store: Store, path: StorePath, narHash: SettledOutput["info"]["narHash"]): boolean {
  const info = store.findPathInfo(path);
  return info !== undefined && hashesEqual(info.narHash, narHash);
}

/** What the build in the store and this one may have put into their outputs. */
function factsOf(store: Store, { firsts, startedAtMs, spec }: Check): DifferenceFacts {
  const [first] = firsts.values();
  const before = first && store.records.findByOutput(first);
  const { buildDirectory, hostName } = spec;
  return {
    timesMs: [
      [startedAtMs, Date.now()],
      ...(before === undefined ? [] : [[before.startedAtMs, before.stoppedAtMs ?? before.startedAtMs] as const]),
    ],
    directories: [buildDirectoryInside, buildDirectory.inside],
    ids: [insideIds.usual, insideIds.other].flatMap(({ uid, gid }) => [uid, gid]),
    hostNames: [plainJail.hostName, hostName],
  };
}
