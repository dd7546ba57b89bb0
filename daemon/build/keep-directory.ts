/** What becomes of the directory of a build that was to leave it: kept if the build failed, else removed. */
import type { KeptDirectory } from "../../derivations/build-result.ts";
import { CloisterError } from "../../derivations/error.ts";
import type { BuildAnswer } from "../../sandbox-native/launcher.ts";
import type { BuildContext } from "./context.ts";

/** Undefined for a build that has left none. That it cannot be kept is told, and is no failure of its own. */
export async function keepDirectory(
  { store, launcher }: BuildContext,
  recordId: string,
  answer: BuildAnswer | undefined,
): Promise<KeptDirectory | undefined> {
  if (answer === undefined || answer.workspace === "") return undefined;
  try {
    const { mostBytes } = store.keptDirectories;
    return await store.keptDirectories.keep(recordId, async (file) => {
      const archived = await launcher.giveUpBuildDirectory(answer.workspace, { to: file.fd, mostBytes });
      const { sizeBytes, leftOut, leftOutNames } = archived;
      return { sizeBytes, ...(leftOut > 0 && { leftOut, leftOutNames }) };
    });
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const isTooLarge = error instanceof CloisterError && error.details["errnoName"] === "EFBIG";
    const limit = Math.floor(Number(store.keptDirectories.mostBytes) / 1024 ** 2);
    return { sizeBytes: 0, problem: isTooLarge ? `it is larger than ${limit} MiB` : error.message };
  }
}

/** Has it removed, some time soon. */
export async function dropDirectory({ launcher }: BuildContext, { workspace }: BuildAnswer): Promise<void> {
  try {
    if (workspace !== "") await launcher.giveUpBuildDirectory(workspace);
  } catch (error) {
    if (!(error instanceof CloisterError)) throw error; // else the launcher is gone, and the next one sweeps at its start
  }
}
