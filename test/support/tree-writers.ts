/** Both implementations of TreeWriter, to hold them equal: node:fs and the launcher. */
import { startLauncher } from "../../sandbox-native/launcher.ts";
import type { StoreLayout } from "../../store/layout.ts";
import type { TreeWriter } from "../../store/tree-writer.ts";
import { PlainTreeWriter } from "./plain-tree-writer.ts";

export type WriterKind = "plain" | "launcher";

export const writerKinds: readonly WriterKind[] = ["plain", "launcher"];

/** What goes into `openStore` as `startWriter`. */
export function writerStarter(kind: WriterKind): (layout: StoreLayout) => Promise<TreeWriter> {
  if (kind === "plain") return async (layout) => new PlainTreeWriter(layout);
  return async (layout) => {
    const { realStoreDirectory, stagingDirectory, trashDirectory, buildsDirectory } = layout;
    const directories = { storeDirectory: realStoreDirectory, stagingDirectory, trashDirectory, buildsDirectory };
    return await startLauncher({ ...directories, strength: "auto", maxJobs: 1 });
  };
}
