/** host-tools.json and its patterns: what a tool needs that its ELF file does not say. */
import { readFileSync } from "node:fs";

export interface ToolGroup {
  readonly why: string;
  /** Patterns; what is not there is left out. A directory is taken whole, but for names in `without`. */
  readonly paths: readonly string[];
  readonly without?: readonly string[];
}

export interface Tool {
  /** Of the program's name, or that of any link on the way to it; its named groups are variables of the patterns. */
  readonly match: string;
  /** Further programs, taken if they are there. */
  readonly programs?: readonly string[];
  /** Further rows, with this one's variables. */
  readonly tools?: readonly string[];
  readonly groups?: readonly ToolGroup[];
}

export interface HostTools {
  /** Where programs are looked for, in this order, which is also that of a build's PATH. */
  readonly searched: readonly string[];
  /** Names at the top that a jail has of its own. */
  readonly refusedTops: readonly string[];
  /** In each world if the host has them: links on most hosts, so that both names of a path work. */
  readonly skeleton: readonly string[];
  readonly base: { readonly programs: readonly string[]; readonly programsIfThere: readonly string[] };
  readonly always: readonly ToolGroup[];
  /** Variables with several values: a pattern that uses one stands for as many patterns. */
  readonly lists: Readonly<Record<string, readonly string[]>>;
  readonly tools: Readonly<Record<string, Tool>>;
}

export type Variables = Readonly<Record<string, string>>;

/** The table's own text, by which a cache of what was made from it is told apart. */
export const hostToolsText = readFileSync(new URL("./host-tools.json", import.meta.url), "utf8");

let parsed: HostTools | undefined;

export function getHostTools(): HostTools {
  parsed ??= JSON.parse(hostToolsText) as HostTools; // our own file: its shape is held by a test, not at each start
  return parsed;
}

/** The directories of a build's PATH. */
export function searchedDirectories(): readonly string[] {
  return getHostTools().searched;
}

/**
 * The groups of all rows that fit a program, by the names that led to it, with the variables that they matched, and the
 * programs that it runs.
 */
export function findToolNeeds(names: readonly string[]): {
  readonly groups: readonly { readonly group: ToolGroup; readonly variables: Variables }[];
  readonly programs: readonly string[];
} {
  const groups: { group: ToolGroup; variables: Variables }[] = [];
  const programs = new Set<string>();
  for (const row of Object.values(getHostTools().tools)) {
    const expression = new RegExp(row.match);
    const matches = names.map((name) => expression.exec(name)).filter((match) => match !== null);
    if (matches.length === 0) continue;
    const variables: Record<string, string> = {};
    for (const match of matches)
      for (const [name, value] of Object.entries(match.groups ?? {})) if (value !== undefined) variables[name] = value;

    for (const each of [row, ...(row.tools ?? []).map(getRow)]) {
      for (const group of each.groups ?? []) groups.push({ group, variables });
      for (const program of each.programs ?? []) programs.add(program);
    }
  }
  return { groups, programs: [...programs] };
}

/**
 * The patterns without variables that a pattern stands for: `{name}` is replaced by the variable or by each value of the
 * list of that name, `{name|else}` by the variable or else by the text. None if a variable without else is not set.
 */
export function expandPattern(pattern: string, variables: Variables): string[] {
  const match = /\{([a-z]+)(?:\|([^}]*))?\}/.exec(pattern);
  if (match === null) return [pattern];
  const [whole, name = "", otherwise] = match;
  const value = variables[name] ?? otherwise;
  const values = value === undefined ? (getHostTools().lists[name] ?? []) : [value];
  return values.flatMap((each) =>
    expandPattern(
      pattern.replace(whole, () => each),
      variables,
    ),
  );
}

function getRow(name: string): Tool {
  const row = getHostTools().tools[name];
  if (row === undefined) throw new Error(`host-tools.json names the tool ${name}, but has no such row`);
  return row;
}
