/** A configuration file: TOML whose keys are the names of settings. What is wrong is told with its line. */
import { readFileSync } from "node:fs";
import { parse, TomlError } from "smol-toml";
import { type ZodType, z } from "zod";
import { findNearest } from "../api/nearest.ts";
import { SettingsError } from "./errors.ts";
import { rowOf, type SettingName, settingNames } from "./table.ts";

export interface SettingsFile {
  readonly file: string;
  readonly values: ReadonlyMap<SettingName, { readonly value: unknown; readonly line: number }>;
}

/** Undefined where there is none. Throws CONFIG_FILE_UNREADABLE, CONFIG_FILE_SYNTAX, CONFIG_FILE_INVALID. */
export function findSettingsFile(file: string): SettingsFile | undefined {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw new SettingsError("CONFIG_FILE_UNREADABLE", { file, reason: (error as Error).message }, { cause: error });
  }
  return parseSettingsFile(text, file);
}

/** Throws CONFIG_FILE_SYNTAX, CONFIG_FILE_INVALID. */
export function parseSettingsFile(text: string, file: string): SettingsFile {
  const parsed = schema.safeParse(parseToml(text, file));
  if (!parsed.success) {
    const faults = parsed.error.issues.flatMap((issue) => faultsOf(issue, text)).sort((a, b) => a.line - b.line);
    throw new SettingsError("CONFIG_FILE_INVALID", { file, faults });
  }
  const values = new Map<SettingName, { value: unknown; line: number }>();
  for (const name of settingNames) {
    const keys = name.split(".");
    const value = keys.reduce<unknown>((of, key) => (of as Readonly<Record<string, unknown>>)?.[key], parsed.data);
    if (value !== undefined) values.set(name, { value, line: lineOf(text, keys) });
  }
  return { file, values };
}

function parseToml(text: string, file: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const reason = error.message.split("\n", 1)[0]?.replace(/^Invalid TOML document: /, "") ?? "";
    throw new SettingsError("CONFIG_FILE_SYNTAX", { file, line: error.line, column: error.column, reason });
  }
}

/** Made from the table: names with a dot lie in a table of TOML. */
const schema = (() => {
  const shapes: Record<string, Record<string, ZodType>> = {};
  for (const name of settingNames) {
    const [group, key] = splitName(name);
    shapes[group] = { ...shapes[group], [key]: rowOf(name).kind.schema.optional() };
  }
  const { "": top, ...groups } = shapes;
  return z.strictObject({
    ...top,
    ...Object.fromEntries(
      Object.entries(groups).map(([group, shape]) => [group, z.strictObject(shape).optional()] as const),
    ),
  });
})();

function splitName(name: string): readonly [group: string, key: string] {
  const dot = name.indexOf(".");
  return dot < 0 ? ["", name] : [name.slice(0, dot), name.slice(dot + 1)];
}

function faultsOf(issue: z.core.$ZodIssue, text: string): { readonly line: number; readonly says: string }[] {
  const path = issue.path.map(String);
  if (issue.code !== "unrecognized_keys")
    return [{ line: lineOf(text, path), says: `${path.join(".")}: ${issue.message}` }];
  return issue.keys.map((key) => {
    const name = [...path, key].join(".");
    const [nearest] = findNearest(name, settingNames);
    const meant = nearest === undefined ? "" : `; did you mean ${nearest}?`;
    return { line: lineOf(text, [...path, key]), says: `there is no setting ${JSON.stringify(name)}${meant}` };
  });
}

const key = `(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')`;
const header = new RegExp(`^\\s*\\[+\\s*(${key}(?:\\s*\\.\\s*${key})*)\\s*\\]`);
const assignment = new RegExp(`^\\s*(${key}(?:\\s*\\.\\s*${key})*)\\s*=`);

/** The line, from 1 on, that sets what has these keys, or opens it: the parser keeps no lines. */
function lineOf(text: string, path: readonly string[]): number {
  let table: readonly string[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    const opened = header.exec(line)?.[1];
    if (opened !== undefined) table = keysOf(opened);
    const set = assignment.exec(line)?.[1];
    const here = opened === undefined ? set && [...table, ...keysOf(set)] : table;
    if (!here) continue;
    // `limits = { memory = … }` sets limits.memory; `[limit]` opens all of an unknown limit.
    const isOnTheWay = opened === undefined && here.every((part, depth) => part === path[depth]);
    if (isOnTheWay || path.every((part, depth) => part === here[depth])) return index + 1;
  }
  return 1;
}

function keysOf(text: string): string[] {
  return [...text.matchAll(new RegExp(key, "g"))].map(([found]) => found.replace(/^(["'])(.*)\1$/, "$2"));
}
