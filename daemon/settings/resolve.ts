/** What a daemon's settings are, and where each comes from: a flag, else the environment, else the file, else by default. */
import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import type { SettingSource, SettingValue } from "../api/setting-values.ts";
import { configurationFileOf, socketOf } from "../api/socket-place.ts";
import { SettingsError } from "./errors.ts";
import { findSettingsFile, type SettingsFile } from "./file.ts";
import { flagOf, rowOf, type SettingName, type Settings, settingNames, variableOf } from "./table.ts";

export interface ResolvedSettings {
  /** With the defaults that depend on other settings filled in. */
  readonly values: Settings & {
    readonly root: string;
    readonly socket: string;
    readonly allowedUsers: readonly string[];
    readonly idleExit: number;
  };
  readonly sources: Readonly<Record<SettingName, SettingSource>>;
  /** That was read, or would be if it were there. */
  readonly file: string;
}

export interface SettingsInput {
  /** What the command line says, read already. */
  readonly flags: Readonly<Partial<Record<SettingName, unknown>>>;
  readonly environment: NodeJS.ProcessEnv;
  /** The file that is named; it must be there. */
  readonly file?: string;
  /** Of a daemon that a client starts. */
  readonly background?: boolean;
}

/**
 * The system's file is that of the daemon of the store at /, one's own that of any other. Throws CONFIG_INVALID,
 * CONFIG_FILE_UNREADABLE, CONFIG_FILE_SYNTAX, CONFIG_FILE_INVALID.
 */
export function resolveSettings(input: SettingsInput): ResolvedSettings {
  const { flags, environment } = input;
  const variables = readVariables(environment);
  const root = flags.root ?? variables.get("root") ?? "";
  const byDefault = configurationFileOf(resolve(String(root)), environment, homedir());
  const file = input.file === undefined ? byDefault : resolve(input.file);
  const found = findSettingsFile(file);
  if (found === undefined && input.file !== undefined)
    throw new SettingsError("CONFIG_FILE_UNREADABLE", { file, reason: "there is no such file" });

  const values: Record<string, unknown> = {};
  const sources: Partial<Record<SettingName, SettingSource>> = {};
  for (const name of settingNames) {
    const { value, source } = resolveOne(name, flags, variables, found);
    values[name] = value;
    sources[name] = source;
  }
  return {
    values: fillIn(values as unknown as Settings, input),
    sources: sources as Record<SettingName, SettingSource>,
    file,
  };
}

/** The same for people and programs: each setting as it would be written, and where it comes from. */
export function describeSettings({ values, sources }: ResolvedSettings): SettingValue[] {
  return settingNames.map((name) => {
    const { kind, reloadable } = rowOf(name);
    const value = values[name];
    return { name, ...(value !== undefined && { value: kind.write(value) }), source: sources[name], reloadable };
  });
}

/** Paths that are relative are so to where this process was started. */
function fillIn(values: Settings, { environment, background }: SettingsInput): ResolvedSettings["values"] {
  const { storeDir: storeDirectory, stateDir: stateDirectory } = values;
  const root = resolve(values.root ?? ownRoot(environment));
  const place = { root, storeDirectory, ...(stateDirectory !== undefined && { stateDirectory }) };
  return {
    ...values,
    root,
    socket: values.socket === undefined ? socketOf(place) : resolve(values.socket),
    allowedUsers: values.allowedUsers ?? (root === "/" ? ["*"] : []),
    idleExit: values.idleExit ?? (background === true ? 60 : 0),
  };
}

function resolveOne(
  name: SettingName,
  flags: SettingsInput["flags"],
  variables: ReadonlyMap<SettingName, unknown>,
  found: SettingsFile | undefined,
): { readonly value: unknown; readonly source: SettingSource } {
  if (flags[name] !== undefined) return { value: flags[name], source: { kind: "flag", name: `--${flagOf(name)}` } };
  if (variables.has(name)) return { value: variables.get(name), source: { kind: "variable", name: variableOf(name) } };
  const inFile = found?.values.get(name);
  if (found !== undefined && inFile !== undefined)
    return { value: inFile.value, source: { kind: "file", file: found.file, line: inFile.line } };
  return { value: rowOf(name).byDefault, source: { kind: "default" } };
}

/** An empty variable counts as unset. */
function readVariables(environment: NodeJS.ProcessEnv): ReadonlyMap<SettingName, unknown> {
  const values = new Map<SettingName, unknown>();
  for (const name of settingNames) {
    const variable = variableOf(name);
    const value = environment[variable];
    if (value === undefined || value === "") continue;
    try {
      values.set(name, rowOf(name).kind.parse(value));
    } catch (error) {
      throw new SettingsError("CONFIG_INVALID", { option: variable, value, reason: (error as Error).message });
    }
  }
  return values;
}

/** SettingSource: XDG Base Directory Specification; a relative value counts as unset. */
function ownRoot(environment: NodeJS.ProcessEnv): string {
  const data = environment["XDG_DATA_HOME"];
  if (data !== undefined && isAbsolute(data)) return join(data, "cloister");
  return join(environment["HOME"] || homedir(), ".local", "share", "cloister");
}
