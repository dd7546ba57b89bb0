/**
 * Where a store's daemon listens, and how its socket is reached: a socket's path may have 107 bytes only, so both
 * sides go through a descriptor of its directory (unix(7); proc(5) for /proc/self/fd).
 */
import { closeSync, constants, openSync } from "node:fs";
import { basename, dirname, isAbsolute, join } from "node:path";

export const defaultStoreDirectory = "/cloister/store";

/** The socket of the system's daemon. */
export const systemSocket = "/run/cloister/socket";

const systemStateDirectory = "/cloister/var/cloister";

export interface StorePlace {
  /** The physical directory below which the logical ones lie; "/" for the system's. */
  readonly root: string;
  /** Logical. */
  readonly storeDirectory?: string;
  /** Logical; by default "var/cloister" beside the store directory. */
  readonly stateDirectory?: string;
}

/** The physical state directory of a store: `ROOT/cloister/var/cloister` unless it is named. */
export function stateDirectoryOf(place: StorePlace): string {
  const storeDirectory = place.storeDirectory ?? defaultStoreDirectory;
  return join(place.root, place.stateDirectory ?? join(dirname(storeDirectory), "var", "cloister"));
}

/** In the state directory; the system's own store has it where every user looks first. */
export function socketOf(place: StorePlace): string {
  const stateDirectory = stateDirectoryOf(place);
  return stateDirectory === systemStateDirectory ? systemSocket : join(stateDirectory, "socket");
}

export function logFileOf(place: StorePlace): string {
  return join(stateDirectoryOf(place), "log", "daemon.log");
}

/** What was refused, and what only the trusted did. */
export function auditFileOf(place: StorePlace): string {
  return join(stateDirectoryOf(place), "log", "audit.log");
}

/** The system's configuration. */
export const systemConfigurationFile = "/etc/cloister/cloister.toml";

/**
 * The configuration of the daemon of a root, as flags and variables say it: the system's store has the system's, any other
 * its user's own. Source: XDG Base Directory Specification; a relative value counts as unset.
 */
export function configurationFileOf(
  root: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
  home: string,
): string {
  if (root === "/") return systemConfigurationFile;
  const named = environment["XDG_CONFIG_HOME"];
  const folder = named !== undefined && isAbsolute(named) ? named : join(environment["HOME"] || home, ".config");
  return join(folder, "cloister", "cloister.toml");
}

/** A path to the socket that is short enough for the kernel; it works until it is disposed. Throws as `open` does. */
export function openSocketPlace(socket: string): { readonly path: string } & Disposable {
  const descriptor = openSync(dirname(socket), constants.O_RDONLY | constants.O_DIRECTORY | pathOnly);
  return {
    path: `/proc/self/fd/${descriptor}/${basename(socket)}`,
    [Symbol.dispose]: () => closeSync(descriptor),
  };
}

/** O_PATH, which node:fs does not name: a directory that may be entered need not be readable. Same on x86-64 and aarch64. */
const pathOnly = 0o10000000;
