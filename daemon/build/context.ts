/** What every build is given: the store, the launcher, and what the daemon's configuration says about builds. */
import type { Launcher } from "../../sandbox-native/launcher.ts";
import { defaultWayOut, type WayOutOptions } from "../../sandbox-native/way-out.ts";
import type { Store } from "../../store/store.ts";
import { type BuildLimits, defaultLimits } from "../api/build-limits.ts";
import type { BuildTallies } from "./tallies.ts";

export interface BuildSettings {
  /** This machine's, such as "x86_64-linux". */
  readonly system: string;
  /** What a derivation may list in requiredSystemFeatures. */
  readonly systemFeatures: readonly string[];
  /** Where a build works. */
  readonly buildDirectory: "disk" | "tmpfs";
  /** What no build may go beyond, whatever it asks for. */
  readonly limits: BuildLimits;
  /** What must stay free on the disk of the builds; at most a twentieth of it counts. */
  readonly leastFreeBytes: number;
  readonly leastFreeInodes: number;
  /** Build nothing whose limits this machine cannot enforce. */
  readonly requireLimits: boolean;
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
  readonly tallies?: BuildTallies;
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
  buildDirectory: "disk",
  limits: defaultLimits,
  leastFreeBytes: 64 * 1024 * 1024,
  leastFreeInodes: 1000,
  requireLimits: false,
  lastLogLines: 25,
  impureEnvironment: new Map(),
  network: { ...defaultWayOut, pasta: "" },
};

/** The systems that a machine builds for: its own, and the 32-bit one that the same processor and kernel run. */
export function supportedSystems(system: string): readonly string[] {
  return system === "x86_64-linux" ? [system, "i686-linux"] : [system];
}
