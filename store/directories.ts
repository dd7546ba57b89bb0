/** The directories of a store, made on disk. */
import { mkdirSync, readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { errnoNameOf, nameDiskFull, reasonOf, StoreError } from "./errors.ts";
import { type LayoutOptions, makeLayout, mountPointOf, type StoreLayout } from "./layout.ts";

/**
 * Makes what is not there, and finds out whether staging has to lie in the store directory.
 * Throws STORE_NOT_WRITABLE, STORE_DISK_FULL.
 */
export function makeDirectories(options: LayoutOptions): StoreLayout {
  const first = makeLayout(options);
  make(first.realStoreDirectory, 0o755);
  make(first.stateDirectory, 0o755);
  const mountInfo = readFileSync("/proc/self/mountinfo", "utf8");
  const [store, state] = [first.realStoreDirectory, first.stateDirectory].map((directory) =>
    mountPointOf(mountInfo, realpathSync(directory)),
  );
  const layout = makeLayout({ ...options, stagingInStore: store !== state });
  for (const directory of [
    layout.databaseDirectory,
    layout.rootsDirectory,
    layout.profilesDirectory,
    layout.logDirectory,
  ])
    make(directory, 0o755);
  make(join(layout.rootsDirectory, "auto"), 0o755);
  for (const directory of [layout.stagingDirectory, layout.trashDirectory, layout.buildsDirectory])
    make(directory, 0o700);
  return layout;
}

function make(directory: string, mode: number): void {
  try {
    mkdirSync(directory, { recursive: true, mode });
  } catch (error) {
    if (!["EACCES", "EPERM", "EROFS", "ENOTDIR", "EEXIST"].includes(errnoNameOf(error)))
      throw nameDiskFull(error, directory, "the store's directories");
    throw new StoreError("STORE_NOT_WRITABLE", { directory, reason: reasonOf(error) }, { cause: error });
  }
}
