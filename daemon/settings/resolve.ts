/** What a daemon's settings are, and where each comes from: a flag, else the environment, else the file, else by default. */
import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { SettingsError } from "./errors.ts";
import { findSettingsFile, type SettingsFile } from "./file.ts";
import { flagOf, rowOf, type SettingName, type Settings, settingNames, variableOf } from "./table.ts";

export type Source =
  | { readonly kind: "default" }
  | { readonly kind: "file"; readonly file: string; readonly line: number }
  | { readonly kind: "variable"; readonly name: string }
  | { readonly kind: "flag"; readonly name: string };

export interface ResolvedSettings {
  readonly values: Settings & { readonly root: string };
  readonly sources: Readonly<Record<SettingName, Source>>;
  /** That was read, or would be if it were there. */
  readonly file: string;
}

/** The system's configuration. */
export const systemFile = "/etc/cloister/cloister.toml";

export interface SettingsInput {
  /** What the command line says, read already. */
  readonly flags: Readonly<Partial<Record<SettingName, unknown>>>;
  readonly environment: NodeJS.ProcessEnv;
  /** The file that is named; it must be there. */
  readonly file?: string;
}

/**
 * The system's file is that of the daemon of the store at /, one's own that of any other. Throws CONFIG_INVALID,
 * CONFIG_FILE_UNREADABLE, CONFIG_FILE_SYNTAX, CONFIG_FILE_INVALID.
 */
export function resolveSettings({ flags, environment, file: named }: SettingsInput): ResolvedSettings {
  const variables = readVariables(environment);
  const root = flags.root ?? variables.get("root");
  const file = named === undefined ? (root === "/" ? systemFile : ownFile(environment)) : resolve(named);
  const found = findSettingsFile(file);
  if (found === undefined && named !== undefined)
    throw new SettingsError("CONFIG_FILE_UNREADABLE", { file, reason: "there is no such file" });

  const values: Record<string, unknown> = {};
  const sources: Partial<Record<SettingName, Source>> = {};
  for (const name of settingNames) {
    const { value, source } = resolveOne(name, flags, variables, found);
    values[name] = value;
    sources[name] = source;
  }
  values["root"] ??= ownRoot(environment);
  return {
    values: values as unknown as ResolvedSettings["values"],
    sources: sources as Record<SettingName, Source>,
    file,
  };
}

/** As `cloister config` and the daemon's log say it. */
export function printSource(source: Source): string {
  switch (source.kind) {
    case "default":
      return "default";
    case "file":
      return `${source.file}:${source.line}`;
    case "variable":
    case "flag":
      return source.name;
    default:
      return source satisfies never;
  }
}

function resolveOne(
  name: SettingName,
  flags: SettingsInput["flags"],
  variables: ReadonlyMap<SettingName, unknown>,
  found: SettingsFile | undefined,
): { readonly value: unknown; readonly source: Source } {
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

/** Source: XDG Base Directory Specification; a relative value counts as unset. */
function ownRoot(environment: NodeJS.ProcessEnv): string {
  return join(xdgFolder(environment, "XDG_DATA_HOME", ".local/share"), "cloister");
}

function ownFile(environment: NodeJS.ProcessEnv): string {
  return join(xdgFolder(environment, "XDG_CONFIG_HOME", ".config"), "cloister", "cloister.toml");
}

function xdgFolder(environment: NodeJS.ProcessEnv, variable: string, byDefault: string): string {
  const named = environment[variable];
  if (named !== undefined && isAbsolute(named)) return named;
  return join(environment["HOME"] || homedir(), byDefault);
}
