/** What every build is given: the store, the launcher, and what the daemon's configuration says about builds. */
import type { Launcher } from "../../sandbox-native/launcher.ts";
import { defaultWayOut, type WayOutOptions } from "../../sandbox-native/way-out.ts";
import type { Store } from "../../store/store.ts";

export interface BuildSettings {
  /** This machine's, such as "x86_64-linux". */
  readonly system: string;
  /** What a derivation may list in requiredSystemFeatures. */
  readonly systemFeatures: readonly string[];
  /** Where a build works. 0n: no limit. */
  readonly buildDirectory: { readonly kind: "disk" | "tmpfs"; readonly sizeBytes: bigint; readonly inodes: bigint };
  /** The most that a log may hold, in bytes; 0: no limit. */
  readonly logLimitBytes: number;
  /** How many of the log's last lines go with the news of a failure. */
  readonly lastLogLines: number;
  /** The daemon's own variables that fixed-output builders may ask for by impureEnvVars. */
  readonly impureEnvironment: ReadonlyMap<string, string>;
  /** Of fixed-output builders. */
  readonly network: WayOutOptions & { readonly pasta: string };
}

export interface BuildContext {
  readonly store: Store;
  readonly launcher: Launcher;
  readonly settings: BuildSettings;
}

/** What errors say of the derivation that they are about. */
export interface Subject {
  /** The full path. */
  readonly drvPath: string;
  readonly name: string;
}

export const defaultBuildSettings: Omit<BuildSettings, "system"> = {
  systemFeatures: ["benchmark", "big-parallel", "nixos-test"],
  buildDirectory: { kind: "disk", sizeBytes: 0n, inodes: 0n },
  logLimitBytes: 0,
  lastLogLines: 25,
  impureEnvironment: new Map(),
  network: { ...defaultWayOut, pasta: "" },
};

/** The systems that a machine builds for: its own, and the 32-bit one that the same processor and kernel run. */
export function supportedSystems(system: string): readonly string[] {
  return system === "x86_64-linux" ? [system, "i686-linux"] : [system];
}
