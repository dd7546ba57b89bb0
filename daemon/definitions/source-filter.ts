/**
 * Sources without some of their files: `source("./src", { exclude: ["node_modules", "*.o", "/docs/**"] })`. A pattern
 * without a slash fits a name wherever it is; one with a slash fits a path from the source's top. `*` stands for any
 * characters of one name, `?` for one of them, `**` for any number of names. What fits is left out whole.
 */
import { lstatSync, readdirSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import type { NarEvent } from "../../derivations/nar/grammar.ts";
import { readContents, streamArchive } from "./archive-stream.ts";
import { DefinitionError } from "./errors.ts";

/** Whether a path below the top, such as "lib/main.o", is left out by one of the patterns itself. */
export function makeFilter(patterns: readonly string[]): (inside: string) => boolean {
  const expressions = patterns.map(makeExpression);
  return (inside) => expressions.some((expression) => expression.test(inside));
}

/** What is wrong with a list of patterns, or undefined. */
export function findPatternFault(patterns: unknown): string | undefined {
  if (!Array.isArray(patterns) || patterns.some((each) => typeof each !== "string")) return "must be a list of texts";
  const refused = (patterns as string[]).find((each) => !/[^/]/.test(each) || /(?:^|\/)\.\.?(?:\/|$)/.test(each));
  return refused === undefined
    ? undefined
    : `holds "${refused}", which fits nothing: patterns are relative to the source`;
}

/** The archive of a source without what its patterns leave out. Throws SOURCE_CHANGED, SOURCE_UNREADABLE. */
export function dumpFiltered(
  path: string,
  exclude: readonly string[],
  options: { readonly signal?: AbortSignal } = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  return streamArchive(listEvents(path, "", makeFilter(exclude)), options);
}

function makeExpression(pattern: string): RegExp {
  const isAnchored = pattern.replace(/\/+$/, "").includes("/");
  const parts = pattern.split("/").filter((part) => part !== "");
  const text = parts
    .map((part, index) => {
      const isLast = index === parts.length - 1;
      if (part === "**") return isLast ? ".+" : "(?:[^/]+/)*";
      return `${makeNameExpression(part)}${isLast ? "" : "/"}`;
    })
    .join("");
  return new RegExp(`${isAnchored ? "^" : "(?:^|/)"}${text}$`, "s");
}

function makeNameExpression(part: string): string {
  return part
    .replace(/[.+^${}()|[\]\\]/g, "\\$&")
    .replace(/\*+/g, "[^/]*")
    .replace(/\?/g, "[^/]");
}

/** Depth is bounded by the host's own path length, so recursion is safe here. */
function* listEvents(
  top: string,
  inside: string,
  isExcluded: (inside: string) => boolean,
): Generator<NarEvent, void, undefined> {
  const path = join(top, inside);
  const unreadable = (cause: unknown) => {
    const reason = `${inside || "it"} cannot be read (${cause instanceof Error ? cause.message : cause})`;
    return new DefinitionError("SOURCE_UNREADABLE", { path: top, reason }, { cause });
  };
  const attempt = <Value>(read: () => Value): Value => {
    try {
      return read();
    } catch (error) {
      throw unreadable(error);
    }
  };
  const stats = attempt(() => lstatSync(path));
  if (stats.isSymbolicLink())
    yield { kind: "symlink", target: attempt(() => readlinkSync(path, { encoding: "buffer" })) };
  else if (stats.isFile()) {
    yield { kind: "file", executable: (stats.mode & 0o100) !== 0, size: BigInt(stats.size) };
    const changed = () => new DefinitionError("SOURCE_CHANGED", { path: top });
    yield* readContents(path, stats.size, { changed, unreadable });
  } else if (stats.isDirectory()) {
    yield { kind: "directory" };
    for (const name of attempt(() => readdirSync(path, { encoding: "buffer" })).sort(Buffer.compare)) {
      const inner = join(inside, textOf(name, unreadable));
      if (isExcluded(inner)) continue;
      yield { kind: "entry", name };
      yield* listEvents(top, inner, isExcluded);
    }
    yield { kind: "end" };
  } else throw unreadable(new Error("it is neither a file, a directory nor a symbolic link"));
}

/** Patterns are text, so names must be: what cannot be compared cannot be left out. */
function textOf(name: Buffer, unreadable: (cause: unknown) => Error): string {
  const text = name.toString();
  if (Buffer.from(text).equals(name)) return text;
  throw unreadable(new Error(`the name ${JSON.stringify(name.toString("latin1"))} is not UTF-8`));
}
