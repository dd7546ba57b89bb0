/**
 * The daemon's settings, one row each. Its flags, its environment variables, what its configuration file may say,
 * `cloister config`, `cloisterd --help` and docs/configuration.md are made from these rows.
 */
import { availableParallelism } from "node:os";
import { defaultBlockedNetworks } from "../../sandbox-native/way-out.ts";
import { defaultLimits, type LimitName, limitNames, limitRows } from "../api/build-limits.ts";
import { defaultStoreDirectory } from "../api/socket-place.ts";
import {
  choice,
  type Kind,
  limit,
  networks,
  onOrOff,
  path,
  seconds,
  shares,
  size,
  users,
  wholeNumber,
  word,
} from "./kinds.ts";

export interface Setting<Value, Default extends Value | undefined> {
  readonly kind: Kind<Value>;
  /** Undefined where it depends on other settings, as `defaultSays` tells. */
  readonly byDefault: Default;
  readonly defaultSays?: string;
  /** Whether a running daemon takes a new value when it reads its settings again. */
  readonly reloadable: boolean;
  readonly says: string;
  /** Without the dashes; by default made from the name. */
  readonly flag?: string;
}

const strengths = ["auto", "range", "root", "single"] as const;
export const logLevels = ["fatal", "error", "warn", "info", "debug", "trace", "silent"] as const;

export const settings = {
  root: setting({
    ...{ kind: path, byDefault: undefined, reloadable: false },
    defaultSays: "a store of your own: $XDG_DATA_HOME/cloister",
    says: "physical root of the store",
  }),
  storeDir: setting({
    ...{ kind: path, byDefault: defaultStoreDirectory, reloadable: false },
    says: "logical store directory",
  }),
  stateDir: setting({
    ...{ kind: path, byDefault: undefined, reloadable: false },
    defaultSays: "var/cloister beside the store directory",
    says: "logical state directory",
  }),
  socket: setting({
    ...{ kind: path, byDefault: undefined, reloadable: false },
    defaultSays: "in the state directory; /run/cloister/socket for the system's store",
    says: "where to listen",
  }),
  user: setting({
    ...{ kind: word, byDefault: undefined, reloadable: false },
    defaultSays: "whoever starts it",
    says: "started by root: the user to run as, who gets the state directory",
  }),

  allowedUsers: setting({
    ...{ kind: users, byDefault: undefined, reloadable: true, flag: "allow-user" },
    defaultSays: "all for the store of the root /, else the daemon's own user",
    says: "users who may connect: names, ids, @group, or * for all",
  }),
  trustedUsers: setting({
    ...{ kind: users, byDefault: [] as readonly string[], reloadable: true, flag: "trust-user" },
    defaultSays: "only root and the daemon's own user, who always are",
    says: "users who may add what cannot be checked and do what concerns others: names, ids, @group",
  }),

  maxJobs: setting({
    ...{ kind: wholeNumber(1), byDefault: availableParallelism(), reloadable: false },
    defaultSays: "one for each processor",
    says: "builds at once",
  }),
  shares: setting({
    ...{ kind: shares, byDefault: [] as readonly string[], reloadable: false },
    defaultSays: "1 for everybody",
    says: "how much processor time users get in proportion to each other, such as ada=2",
  }),
  cores: setting({
    ...{ kind: wholeNumber(0), byDefault: 0, reloadable: true },
    says: "processors that a build is told to use where the request does not say; 0: all",
  }),
  strength: setting({
    ...{ kind: choice(...strengths), byDefault: "auto" as const, reloadable: false },
    says: "how builds are kept apart",
  }),
  minFree: setting({
    ...{ kind: size, byDefault: 64 * 1024 * 1024, defaultSays: "64M", reloadable: true },
    says: "end builds when less is free on their disk",
  }),
  minFreeInodes: setting({
    ...{ kind: wholeNumber(0), byDefault: 1000, reloadable: true },
    says: "end builds when fewer inodes are free there",
  }),
  requireLimits: setting({
    ...{ kind: onOrOff, byDefault: false, reloadable: true },
    says: "build nothing whose limits this machine cannot enforce",
  }),
  cgroupRoot: setting({
    ...{ kind: word, byDefault: "auto", reloadable: false },
    says: "where to make control groups: auto, none or a path",
  }),
  network: setting({
    ...{ kind: choice("auto", "required", "none"), byDefault: "auto" as const, reloadable: false },
    says: "of builds of fixed outputs: where there is one, or fail without, or none",
  }),
  blockedNetworks: setting({
    ...{ kind: networks, byDefault: defaultBlockedNetworks, reloadable: true },
    defaultSays: "link-local, metadata, multicast and reserved addresses",
    says: "what builds of fixed outputs never reach, such as 169.254.0.0/16,10.0.0.0/8",
  }),

  idleExit: setting({
    ...{ kind: seconds, byDefault: undefined, reloadable: true },
    defaultSays: "60 when a client started it, else 0",
    says: "end when nobody was connected for so long; 0: never",
  }),
  drain: setting({
    ...{ kind: seconds, byDefault: 60, reloadable: true },
    says: "how long running builds may go on after SIGTERM",
  }),
  maxConnections: setting({
    ...{ kind: wholeNumber(1), byDefault: 1000, reloadable: true },
    says: "connections at once",
  }),
  logLevel: setting({
    ...{ kind: choice(...logLevels), byDefault: "info" as const, reloadable: true },
    says: "how much is logged",
  }),

  ...limitSettings(),
} as const;

export type SettingName = keyof typeof settings;
export const settingNames = Object.keys(settings) as SettingName[];

export type Settings = {
  readonly [Name in SettingName]: ValueOf<(typeof settings)[Name]>;
};

type ValueOf<Row> =
  Row extends Setting<infer Value, infer Default> ? (undefined extends Default ? Value | undefined : Value) : never;

/** Without the dashes: "max-jobs" of maxJobs, "memory" of limits.memory. */
export function flagOf(name: SettingName): string {
  const { flag } = rowOf(name);
  return flag ?? kebab(name.replace(/^limits\./, ""));
}

/** "CLOISTER_MAX_JOBS" of maxJobs, "CLOISTER_LIMITS_MEMORY" of limits.memory. */
export function variableOf(name: SettingName): string {
  return `CLOISTER_${kebab(name).replace(/[-.]/g, "_").toUpperCase()}`;
}

/** The row without its value's type, for what treats all alike. */
export function rowOf(name: SettingName): Setting<unknown, unknown> {
  return settings[name] as unknown as Setting<unknown, unknown>;
}

/** What a setting is where nobody says anything, as words. */
export function defaultOf(name: SettingName): string {
  const { byDefault, defaultSays, kind } = rowOf(name);
  if (defaultSays !== undefined) return defaultSays;
  return byDefault === undefined ? "none" : String(kind.write(byDefault));
}

/** The name of the setting that is a limit of builds. */
export function limitSettingOf<Name extends LimitName>(name: Name): LimitSettingName<Name> {
  const camel = limitRows[name].word.replace(/-./g, (text) => text.charAt(1).toUpperCase());
  return `limits.${camel}` as LimitSettingName<Name>;
}

type Camel<Word extends string> = Word extends `${infer First}-${infer Rest}`
  ? `${First}${Capitalize<Camel<Rest>>}`
  : Word;
type LimitSettingName<Name extends LimitName> = `limits.${Camel<(typeof limitRows)[Name]["word"]>}`;
type LimitSettings = { readonly [Name in LimitName as LimitSettingName<Name>]: Setting<number, number | undefined> };

function limitSettings(): LimitSettings {
  const optional = (row: Setting<number, number | undefined>) => row;
  return Object.fromEntries(
    limitNames.map((name) => [
      limitSettingOf(name),
      optional({
        ...{ kind: limit(name), byDefault: defaultLimits[name], reloadable: true },
        says: `at most: ${limitRows[name].says}`,
      }),
    ]),
  ) as unknown as LimitSettings;
}

function setting<Value>(row: Setting<Value, undefined>): Setting<Value, undefined>;
function setting<Value>(row: Setting<Value, Value>): Setting<Value, Value>;
function setting<Value>(row: Setting<Value, Value | undefined>): Setting<Value, Value | undefined> {
  return row;
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
