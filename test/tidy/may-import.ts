/**
 * Which way imports go: a folder (or module) may import what its row names, and itself. The tidy check and
 * dependency-cruiser's configuration are both made from these tables; a new folder brings its row.
 */
export const mayImport = {
  derivations: [],
  "sandbox-native": ["derivations/error"],
  store: ["derivations", "sandbox-native/posix", "sandbox-native/read-tree"],
  "daemon/api": ["derivations"], // and every errors.ts: the codes of all folders cross the wire
  "daemon/client": ["derivations", "sandbox-native/posix", "daemon/api"],
  "daemon/definitions": ["derivations", "sandbox-native/read-tree", "daemon/api"],
  "daemon/closures": ["derivations", "daemon/api"],
  "daemon/library": ["derivations", "daemon/api", "daemon/client", "daemon/definitions"],
  "daemon/cli": [
    ...["derivations", "sandbox-native", "daemon/api", "daemon/client", "daemon/closures", "daemon/definitions"],
    "daemon/settings", // for `cloister config` where no daemon runs; loaded by nothing else
  ],
  "daemon/build": ["derivations", "sandbox-native", "store", "daemon/api"],
  "daemon/scheduler": ["derivations", "store", "daemon/api", "daemon/build"],
  "daemon/settings": ["derivations", "sandbox-native/address-block", "sandbox-native/way-out", "daemon/api"],
  "daemon/server": [
    ...["derivations", "sandbox-native", "store"],
    ...["daemon/api", "daemon/settings", "daemon/scheduler", "daemon/build"],
  ],
} as const satisfies Record<string, readonly string[]>;

/** What of Node each folder may use besides `harmlessModules`: who reads files, who opens sockets, who starts programs. */
export const mayUseOfNode = {
  derivations: ["crypto", "buffer"], // and nothing else: it is pure and synchronous
  "sandbox-native": ["child_process", "fs", "module", "net", "os"], // it starts the launcher and streams through descriptors
  store: ["fs", "os", "worker_threads", "zlib"],
  "daemon/api": ["fs"], // where the socket is, and which build of the program this is
  "daemon/client": ["child_process", "fs", "net", "os"],
  "daemon/definitions": ["fs", "module", "os"],
  "daemon/closures": [], // what a service answers is all that it looks at
  "daemon/library": [],
  "daemon/cli": ["child_process", "fs", "os", "readline", "tty"],
  "daemon/build": ["fs", "os"],
  "daemon/scheduler": ["os"],
  "daemon/settings": ["fs", "os"],
  "daemon/server": ["child_process", "fs", "module", "net", "os", "v8", "vm"], // the last two for memory alone
} as const satisfies Record<keyof typeof mayImport, readonly string[]>;

/** Modules of Node that only compute: no files, no sockets, no programs. */
export const harmlessModules = [
  "assert",
  "async_hooks",
  "buffer",
  "crypto",
  "events",
  "path",
  "perf_hooks",
  "process",
  "stream",
  "string_decoder",
  "timers",
  "url",
  "util",
] as const;

export type House = keyof typeof mayImport;

/** The row that a source file belongs to: the longest name that is its path's beginning. */
export function houseOf(path: string): House | undefined {
  const names = (Object.keys(mayImport) as House[]).filter((name) => isWithin(path, name));
  return names.sort((a, b) => b.length - a.length)[0];
}

/** Whether a file is the module `name` or lies in the folder `name`. */
export function isWithin(path: string, name: string): boolean {
  return path.startsWith(`${name}/`) || path.replace(/\.[cm]?[jt]s$/, "") === name;
}
