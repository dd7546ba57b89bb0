/** The second build of outputs that are valid: equal, or kept beside the first so that they can be compared. */
import { hashesEqual } from "../../derivations/hash.ts";
import { printStorePath, type StorePath } from "../../derivations/store-path.ts";
import { dumpTree } from "../../sandbox-native/read-tree.ts";
import { moveAside } from "../../store/commit-outputs.ts";
import type { Store } from "../../store/store.ts";
import { compareTrees } from "./compare-trees.ts";
import { BuildError } from "./errors.ts";
import type { SettleContext, SettledOutput } from "./settled-output.ts";

/**
 * Compares by the hash of the archive. An output that differs is kept as `PATH.check`, in place of what an earlier check
 * left there. Throws BUILD_NOT_DETERMINISTIC for the first such output.
 */
export async function checkDeterminism(
  context: SettleContext,
  firsts: ReadonlyMap<string, StorePath>,
  outputs: readonly SettledOutput[],
): Promise<void> {
  const { store, subject, staged } = context;
  let failure: InstanceType<typeof BuildError<"BUILD_NOT_DETERMINISTIC">> | undefined;
  for (const { id, info, stagingName } of outputs) {
    const first = firsts.get(id);
    if (first === undefined || isSame(store, first, info.narHash)) continue;

    const second = `${first}.check`;
    await moveAside(store, stagingName, second);
    staged.delete(stagingName);
    const directory = store.layout.realStoreDirectory;
    const files = await compareTrees(dumpTree(`${directory}/${first}`), dumpTree(`${directory}/${second}`));
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
