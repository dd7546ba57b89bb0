/** The settings of a running daemon, and what becomes of them when they are read again. */
import type { ReloadResult, SettingValue } from "../api/setting-values.ts";
import { describeSettings, type ResolvedSettings } from "../settings/resolve.ts";
import { rowOf, type SettingName, settingNames } from "../settings/table.ts";
import type { DaemonConfig } from "./config.ts";

export class LiveSettings {
  #config: DaemonConfig;
  readonly #read: () => DaemonConfig;
  readonly #apply: (config: DaemonConfig) => void;

  /** `read` reads all again, as at the start; `apply` has the daemon take what may change while it runs. */
  constructor(config: DaemonConfig, read: () => DaemonConfig, apply: (config: DaemonConfig) => void) {
    this.#config = config;
    this.#read = read;
    this.#apply = apply;
  }

  /** Of what may not change while it runs as it is, not as it was read last. */
  get config(): DaemonConfig {
    return this.#config;
  }

  describe(): readonly SettingValue[] {
    return describeSettings(this.#config.settings);
  }

  /** Nothing changes if it throws: CONFIG_ codes. */
  reload(): ReloadResult {
    const before = this.#config;
    const next = this.#read();
    const changed = settingNames.filter((name) => written(next.settings, name) !== written(before.settings, name));
    const stays = new Set(changed.filter((name) => !rowOf(name).reloadable));
    this.#apply(next);
    this.#config = { ...next, settings: keep(next.settings, before.settings, stays) };
    return { applied: changed.filter((name) => !stays.has(name)), needRestart: [...stays] };
  }
}

function written({ values }: ResolvedSettings, name: SettingName): string {
  const value = values[name];
  return value === undefined ? "" : JSON.stringify(rowOf(name).kind.write(value));
}

function keep(next: ResolvedSettings, before: ResolvedSettings, stays: ReadonlySet<SettingName>): ResolvedSettings {
  const choose = <Value>(from: (settings: ResolvedSettings) => Readonly<Record<SettingName, Value>>) =>
    Object.fromEntries(settingNames.map((name) => [name, from(stays.has(name) ? before : next)[name]]));
  return {
    ...next,
    values: choose<unknown>(({ values }) => values) as unknown as ResolvedSettings["values"],
    sources: choose(({ sources }) => sources) as ResolvedSettings["sources"],
  };
}
