/** Where a store keeps what: its objects, and the state beside them. Pure, so that a client can find a store's socket. */
import { dirname, join } from "node:path";
import type { StoreDirectory, StorePath } from "../derivations/store-path.ts";

/** All directories here are physical, except `storeDirectory`. */
export interface StoreLayout {
  /** Logical: what is hashed into paths and what a build sees. */
  readonly storeDirectory: StoreDirectory;
  readonly root: string;
  readonly realStoreDirectory: string;
  readonly stateDirectory: string;
  readonly databaseDirectory: string;
  readonly rootsDirectory: string;
  readonly profilesDirectory: string;
  readonly logDirectory: string;
  /** Objects that are being made. On the store's mount, since they are renamed into it. */
  readonly stagingDirectory: string;
  /** Objects that are being removed. On the store's mount. */
  readonly trashDirectory: string;
  /** Build directories. */
  readonly buildsDirectory: string;
  /** What failed builds left, as archives. */
  readonly keptDirectory: string;
  readonly lockFile: string;
  readonly socketPath: string;
  realPath(path: StorePath): string;
}

export interface LayoutOptions {
  readonly storeDirectory: StoreDirectory;
  /** Physical: "/" for the system's store. */
  readonly root: string;
  /** Logical, below the root; by default `var/cloister` beside the store directory. */
  readonly stateDirectory?: string;
  /** Staging and trash inside the store directory, for where no one mount covers both store and state. */
  readonly stagingInStore?: boolean;
}

/** What lies in the store directory and is no store object: never collected. */
export const reservedStoreNames: ReadonlySet<string> = new Set([".links", ".cloister", "lost+found"]);

export function makeLayout(options: LayoutOptions): StoreLayout {
  const { storeDirectory, root } = options;
  const realStoreDirectory = join(root, storeDirectory);
  const stateDirectory = join(root, options.stateDirectory ?? join(dirname(storeDirectory), "var/cloister"));
  const movable = options.stagingInStore === true ? join(realStoreDirectory, ".cloister") : stateDirectory;
  return {
    storeDirectory,
    root,
    realStoreDirectory,
    stateDirectory,
    databaseDirectory: join(stateDirectory, "db"),
    rootsDirectory: join(stateDirectory, "gcroots"),
    profilesDirectory: join(stateDirectory, "profiles"),
    logDirectory: join(stateDirectory, "log"),
    stagingDirectory: join(movable, "staging"),
    trashDirectory: join(movable, "trash"),
    buildsDirectory: join(movable, "builds"),
    keptDirectory: join(stateDirectory, "kept"),
    lockFile: join(stateDirectory, "daemon.lock"),
    socketPath: join(stateDirectory, "socket"),
    realPath: (path) => `${realStoreDirectory}/${path}`,
  };
}

/**
 * The mount point that covers a physical, absolute path without symlinks, by the text of /proc/self/mountinfo: of those
 * that are a prefix the longest, and of equal ones the last, which lies on top. Source: proc_pid_mountinfo(5).
 */
export function mountPointOf(mountInfo: string, path: string): string {
  let found = "/";
  for (const line of mountInfo.split("\n")) {
    const field = line.split(" ")[4];
    if (field === undefined) continue;
    const mountPoint = field.replace(/\\([0-7]{3})/g, (_, octal: string) =>
      String.fromCharCode(Number.parseInt(octal, 8)),
    );
    const covers = mountPoint === "/" || path === mountPoint || path.startsWith(`${mountPoint}/`);
    if (covers && mountPoint.length >= found.length) found = mountPoint;
  }
  return found;
}
