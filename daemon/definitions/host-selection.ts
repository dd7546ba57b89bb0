/**
 * A world made of a slice of this host: programs by name, with all that they need to run. Nothing is executed to find it
 * out: libraries come from ELF files, interpreters from `#!` lines, libraries named by linker scripts from those, and
 * the rest (headers, a compiler's parts, an interpreter's modules) from host-tools.json.
 */
import { closeSync, openSync, readSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { compareText } from "../../derivations/bytes.ts";
import { DefinitionError } from "./errors.ts";
import { expandPattern, findToolNeeds, getHostTools, type ToolGroup, type Variables } from "./host-tools.ts";
import { type HostEntry, HostTree } from "./host-tree.ts";
import { LibraryFinder, makeNameMatcher } from "./libraries.ts";

/**
 * Selects the files of a world. `programs` are names, "base", or absolute paths (of programs, files, or directories,
 * which are taken whole), in whose parts `*` stands for any characters. Throws WORLD_PROGRAM_MISSING, WORLD_PATH_MISSING, WORLD_PATH_UNUSABLE, WORLD_LIBRARY_MISSING,
 * ELF_INVALID.
 */
export function selectHostFiles(programs: readonly string[]): HostTree {
  return new Selection().run(programs);
}

/** One file, link or directory of a world. */
export interface ExplainedFile {
  readonly path: string;
  readonly kind: HostEntry["kind"];
  readonly why: string;
  /** 0 for all but files. */
  readonly sizeBytes: number;
}

/** What a world holds and why, sorted by path. */
export function explainHostFiles(tree: HostTree): readonly ExplainedFile[] {
  return [...tree.entries.values()]
    .map((entry) => ({
      path: entry.path,
      kind: entry.kind,
      why: entry.why,
      sizeBytes: entry.kind === "file" ? entry.size : 0,
    }))
    .sort((left, right) => compareText(left.path, right.path));
}

class Selection {
  readonly #tree: HostTree;
  readonly #libraries: LibraryFinder;
  readonly #programs = new Set<string>();
  readonly #files: { readonly path: string; readonly executable: boolean; readonly isAsked: boolean }[] = [];

  constructor() {
    this.#tree = new HostTree(getHostTools().refusedTops, (path, entry, isAsked) => {
      const executable = entry.kind === "file" && entry.executable;
      if (executable || libraryName.test(path)) this.#files.push({ path, executable, isAsked });
    });
    this.#libraries = new LibraryFinder(this.#tree);
  }

  run(programs: readonly string[]): HostTree {
    const { base, always, skeleton } = getHostTools();
    for (const directory of skeleton) this.#tree.take(directory, "layout of this host");
    for (const name of ["passwd", "group", "hosts"])
      this.#tree.addMade({ path: `/etc/${name}`, kind: "empty-file", why: "filled in by each jail" });

    for (const program of [...new Set(programs)].sort()) {
      if (program === "base") {
        for (const name of base.programs) this.#takeNamed(name, "base", true);
        for (const name of base.programsIfThere) this.#takeNamed(name, "base", false);
      } else if (program.startsWith("/")) this.#takePath(program);
      else this.#takeNamed(program, "asked for", true);
    }
    for (const group of always) this.#takeGroup(group, {});
    this.#readFiles();
    return this.#tree;
  }

  #takeNamed(name: string, why: string, isRequired: boolean): void {
    if (this.#programs.has(name)) return;
    this.#programs.add(name); // before its needs are looked at, which may lead back to it: bash needs sh, which may be bash
    const { searched } = getHostTools();
    for (const directory of searched) {
      const path = join(directory, name);
      if (this.#tree.exists(path) && this.#takeProgram(path, why)) return;
    }
    this.#programs.delete(name);
    if (isRequired) throw new DefinitionError("WORLD_PROGRAM_MISSING", { program: name, searched });
  }

  /** False if the path is a link to nothing. */
  #takeProgram(path: string, why: string): boolean {
    const taken = this.#tree.take(path, why);
    if (taken === undefined) return false;
    const needs = findToolNeeds(taken.names);
    for (const { group, variables } of needs.groups) this.#takeGroup(group, variables);
    for (const program of needs.programs) this.#takeNamed(program, `run by ${basename(path)}`, false);
    return true;
  }

  #takePath(pattern: string): void {
    const missing = (path: string) =>
      new DefinitionError("WORLD_PATH_MISSING", { path, why: "because the definition names it" });
    const paths = this.#match(pattern);
    if (paths.length === 0) throw missing(pattern);
    for (const path of paths)
      if (!this.#takeProgram(path, "asked for") || !this.#tree.takeAll(path, "asked for")) throw missing(path);
  }

  #takeGroup(group: ToolGroup, variables: Variables): void {
    const all = { multiarch: hostMultiarch(), ...variables };
    for (const pattern of group.paths)
      for (const expanded of expandPattern(pattern, all))
        for (const path of this.#match(expanded)) this.#tree.takeAll(path, group.why, group.without);
  }

  /** The paths that fit a pattern in whose parts `*` stands for any characters. */
  #match(pattern: string): string[] {
    if (!pattern.includes("*")) return this.#tree.exists(pattern) ? [pattern] : [];
    let paths = ["/"];
    for (const part of pattern.split("/").filter((each) => each !== "")) {
      if (!part.includes("*")) paths = paths.map((path) => join(path, part)).filter((path) => this.#tree.exists(path));
      else
        paths = paths.flatMap((path) =>
          this.#tree
            .list(path)
            .filter(makeNameMatcher(part))
            .map((name) => join(path, name)),
        );
    }
    return paths;
  }

  /** Follows what the taken files name themselves; that takes more files, until no new ones come. */
  #readFiles(): void {
    // The list grows while it is walked.
    for (const file of this.#files) {
      if (this.#libraries.takeFor(file.path)) continue;
      const head = readHead(file.path);
      if (file.executable && file.isAsked && head.startsWith("#!")) this.#takeInterpreter(file.path, head);
      else if (linkerScript.test(head)) this.#takeNamedByLinkerScript(file.path, head);
    }
  }

  /** `#!/usr/bin/env X` needs X as well. */
  #takeInterpreter(script: string, head: string): void {
    const [interpreter = "", ...words] = (head.split("\n")[0] ?? "").slice(2).trim().split(/\s+/);
    const why = `interpreter of ${script}`;
    if (!interpreter.startsWith("/") || !this.#takeProgram(interpreter, why))
      throw new DefinitionError("WORLD_PATH_MISSING", { path: interpreter, why: `as the ${why}` });
    if (basename(interpreter) !== "env") return;
    const program = words.find((word) => !word.startsWith("-") && !word.includes("="));
    if (program !== undefined) this.#takeNamed(program, why, true);
  }

  /** Such as libc.so: `GROUP ( /lib/…/libc.so.6 /usr/lib/…/libc_nonshared.a AS_NEEDED ( … ) )`. */
  #takeNamedByLinkerScript(script: string, text: string): void {
    const why = `named by ${script}`;
    const commands = text.replace(/\/\*[\s\S]*?\*\//g, "").matchAll(/\b(?:GROUP|INPUT)\s*\(((?:[^()]|\([^()]*\))*)\)/g);
    for (const [, inside = ""] of commands)
      for (const word of inside.split(/[\s(),]+/)) {
        if (word.startsWith("/")) this.#tree.take(word, why);
        else if (/\.(?:so|a)(?:\.|$)/.test(word)) this.#tree.take(join(dirname(script), word), why);
      }
  }
}

const libraryName = /\.(?:so|a)(?:$|\.[0-9.]*$)/;
const linkerScript = /^\/\* GNU ld script|\b(?:GROUP|INPUT)\s*\(/;

/** The first 4 KiB as text; "" for what is binary. */
function readHead(path: string): string {
  const fd = openSync(path, "r");
  try {
    const bytes = Buffer.alloc(4096);
    const head = bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, 0));
    return head.includes(0) ? "" : head.toString("utf8");
  } finally {
    closeSync(fd);
  }
}

/** Debian's name for this machine's own kind. */
function hostMultiarch(): string {
  return process.arch === "arm64" ? "aarch64-linux-gnu" : "x86_64-linux-gnu";
}
