/**
 * What a definition is made of: plain data that says what is wanted, made by these functions or read from JSON. Nothing
 * here reads a file or computes a path; `resolve.ts` does that later, when a store is known.
 */
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { HashAlgorithm } from "../../derivations/hash.ts";
import { findCaller } from "./caller.ts";

/** A file or directory of the user's machine, to be copied into the store. */
export interface Source {
  readonly kind: "source";
  /** Absolute. */
  readonly path: string;
  /** The name in the store path; the file's own unless given. */
  readonly name?: string;
  /** Patterns of what is left out, such as "node_modules" or "*.o" (anywhere), or "/docs/**" (from the top). */
  readonly exclude?: readonly string[];
}

export interface SourceOptions {
  readonly name?: string;
  readonly exclude?: readonly string[];
}

/** A slice of this host: programs with all that they need. */
export interface HostWorld {
  readonly kind: "host-world";
  /** Names of programs, "base", or absolute paths of further files and directories; `*` in them is any characters. */
  readonly programs: readonly string[];
}

/** A path that is in the store already. */
export interface ExistingPath {
  readonly kind: "store-path";
  /** The full logical path, such as "/cloister/store/…-hello". */
  readonly path: string;
}

/** One output of a derivation other than "out". */
export interface ChosenOutput {
  readonly kind: "output";
  readonly derivation: DerivationDescription;
  readonly id: string;
}

/** A file inside of something. */
export interface InnerFile {
  readonly kind: "file";
  readonly of: Source | ExistingPath | ChosenOutput | DerivationDescription;
  /** Relative, such as "bin/tool". */
  readonly inside: string;
}

/** What becomes a path in the store; a derivation stands for its output "out". */
export type Reference = Source | ExistingPath | ChosenOutput | InnerFile | DerivationDescription;

/** The root file system that a build sees: none at all, or one from the host, a directory, a derivation, the store. */
export type World = "none" | HostWorld | Source | ExistingPath | ChosenOutput | DerivationDescription;

/** Text; `true` is "1" and `false` ""; a list is joined by spaces; a reference is its full path. As in Nix. */
export type Value = string | number | boolean | Reference | readonly (string | number | boolean | Reference)[];

export interface FixedHash {
  /** In any notation, such as "sha256-…" or "sha256:…". */
  readonly hash: string;
  /** "flat": the hash of the one file that `out` is; "recursive": of the NAR of `out`. */
  readonly method: "flat" | "recursive";
}

export interface DerivationAttributes {
  /** Without extension, such as "hello-1.0". */
  readonly name: string;
  readonly world: World;
  /** Each becomes an environment variable that holds its path. */
  readonly inputs?: Readonly<Record<string, Reference>>;
  /** Run by the world's shell, as one text or as lines; it stops at the first command that fails and at unset variables. */
  readonly script?: string | readonly string[];
  /** In place of `script`: an absolute path in the world, or a file of an input. */
  readonly builder?: string | Reference;
  readonly args?: readonly (string | Reference)[];
  /** Further environment variables. */
  readonly env?: Readonly<Record<string, Value>>;
  /** `["out"]` unless given. */
  readonly outputs?: readonly string[];
  /** Such as "x86_64-linux"; the daemon's unless given. */
  readonly system?: string;
  /** What the output will hash to; such a build may differ in how it gets there. */
  readonly fixed?: FixedHash;
  /** Nix's names for the same: the hash, its algorithm ("sha256", …) and its method ("flat", "recursive"). */
  readonly outputHash?: string;
  readonly outputHashAlgo?: HashAlgorithm;
  readonly outputHashMode?: "flat" | "recursive";
  /** The output's path follows from its contents, after the build. */
  readonly contentAddressed?: boolean;
  /** "none": the output needs nothing of the world at run time. */
  readonly runtime?: "world" | "none";
  /** Names of variables whose values come as files, at the path in NAMEPath. */
  readonly passAsFile?: readonly string[];
}

export interface DerivationDescription extends DerivationAttributes {
  readonly kind: "derivation";
  /** File and line that it was made in, for messages. */
  readonly where?: string;
}

/** Describes a derivation. What is wrong with it is said when it is resolved, with file and line. */
export function derivation(attributes: DerivationAttributes): DerivationDescription {
  const place = findCaller();
  return { ...attributes, kind: "derivation", ...(place && { where: `${place.file}:${place.line}` }) };
}

/**
 * Describes a file or directory. A relative path is relative to the file that calls `source` (found by the engine's
 * stack; where a helper calls it for others, pass `new URL("./src", import.meta.url)`), and to the working directory
 * where no file does.
 */
export function source(path: string | URL, options: SourceOptions = {}): Source {
  const text = path instanceof URL ? fileURLToPath(path) : path;
  const place = findCaller();
  const absolute = resolve(place === undefined ? process.cwd() : dirname(place.file), text);
  const { name, exclude } = options;
  return {
    kind: "source",
    path: absolute,
    ...(name !== undefined && { name }),
    ...(exclude !== undefined && { exclude }), // what is wrong with it is said when the source is read
  };
}

/** Describes a slice of the host: names of programs, "base" (the usual small tools), absolute paths. */
export function hostWorld(programs: readonly string[]): HostWorld {
  return { kind: "host-world", programs: [...programs] };
}

/** Describes one output of a derivation, such as `output(lib, "dev")`. */
export function output(of: DerivationDescription, id: string): ChosenOutput {
  return { kind: "output", derivation: of, id };
}

/** Describes a file inside of something, such as `file(tools, "bin/generate")` for a builder. */
export function file(of: InnerFile["of"], inside: string): InnerFile {
  return { kind: "file", of, inside };
}

/** Describes a path that is in the store already. */
export function storePath(path: string): ExistingPath {
  return { kind: "store-path", path };
}

/** Whether a value is one of the references above, by its tag. */
export function isReference(value: unknown): value is Reference {
  const kind = kindOf(value);
  return kind === "source" || kind === "store-path" || kind === "output" || kind === "file" || kind === "derivation";
}

export function isDerivation(value: unknown): value is DerivationDescription {
  return kindOf(value) === "derivation";
}

/** How a message names a derivation. */
export function printWhere(description: DerivationDescription): string {
  const name = typeof description.name === "string" ? description.name : "without a name";
  return description.where === undefined ? name : `${name} (${description.where})`;
}

function kindOf(value: unknown): unknown {
  return typeof value === "object" && value !== null && "kind" in value ? value.kind : undefined;
}
