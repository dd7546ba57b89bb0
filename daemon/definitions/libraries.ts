/**
 * Which files a dynamic loader would load for an ELF file. Looked for as the loader of glibc does it without its cache
 * (ld.so(8)): run paths, then the default directories; at last the further ones of /etc/ld.so.conf, for which a link is
 * made in a default directory, because a build has no cache of the loader's.
 */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type ElfFacts, readElf } from "./elf.ts";
import { DefinitionError } from "./errors.ts";
import type { HostTree } from "./host-tree.ts";

/** Takes what ELF files need into a tree; each file once. */
export class LibraryFinder {
  readonly #tree: HostTree;
  readonly #facts = new Map<string, ElfFacts | undefined>();
  readonly #done = new Set<string>();
  #configured: readonly string[] | undefined;

  constructor(tree: HostTree) {
    this.#tree = tree;
  }

  /**
   * Takes interpreter and libraries of one file, and theirs. Returns false if it is no ELF file.
   * Throws WORLD_LIBRARY_MISSING, ELF_INVALID.
   */
  takeFor(path: string): boolean {
    if (this.#read(path) === undefined) return false;
    const pending = [{ path, directory: dirname(path), inherited: [] as readonly string[] }];
    for (let file = pending.pop(); file !== undefined; file = pending.pop()) {
      const facts = this.#read(file.path);
      const key = `${file.path}\0${file.inherited.join(":")}`;
      if (facts === undefined || this.#done.has(key)) continue;
      this.#done.add(key);

      const expand = (directory: string) => expandTokens(directory, file.directory, facts);
      const own = facts.rpath.map(expand);
      const runPath = facts.runpath.length > 0 ? facts.runpath.map(expand) : [...own, ...file.inherited];
      const inherited = facts.runpath.length > 0 ? [] : runPath; // as the loader does: a library's loader's rpath counts for it too
      const why = `library of ${file.path}`;
      if (facts.interpreter !== undefined && this.#tree.take(facts.interpreter, `loader of ${file.path}`) === undefined)
        throw new DefinitionError("WORLD_LIBRARY_MISSING", { library: facts.interpreter, neededBy: file.path });

      for (const library of facts.needed) {
        const found = this.#find(library, facts, runPath, why);
        if (found === undefined) throw new DefinitionError("WORLD_LIBRARY_MISSING", { library, neededBy: file.path });
        pending.push({ path: found.realPath, directory: dirname(found.path), inherited });
      }
    }
    return true;
  }

  #find(library: string, facts: ElfFacts, runPath: readonly string[], why: string) {
    if (library.includes("/")) return this.#takeIfFits(library, facts, why);
    const defaults = defaultDirectories(facts.kind);
    for (const directory of [...runPath, ...defaults]) {
      const found = this.#takeIfFits(join(directory, library), facts, why);
      if (found !== undefined) return found;
    }
    for (const directory of this.#configuredDirectories()) {
      const found = this.#takeIfFits(join(directory, library), facts, why);
      if (found === undefined) continue;
      const home = defaults.find((candidate) => this.#tree.exists(candidate));
      const taken = home && this.#tree.take(home, why);
      if (taken) this.#tree.addMade({ path: join(taken.realPath, library), kind: "symlink", target: found.path, why });
      return found;
    }
    return undefined;
  }

  /** A file of another word size or machine is passed over, as the loader does. */
  #takeIfFits(
    path: string,
    facts: ElfFacts,
    why: string,
  ): { readonly path: string; readonly realPath: string } | undefined {
    if (!this.#tree.exists(path)) return undefined;
    let candidate: ElfFacts | undefined;
    try {
      candidate = this.#read(path);
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined; // a link to nothing
      throw error;
    }
    if (candidate?.kind !== facts.kind) return undefined;
    const taken = this.#tree.take(path, why);
    return taken && { path, realPath: taken.realPath };
  }

  #read(path: string): ElfFacts | undefined {
    if (!this.#facts.has(path)) this.#facts.set(path, readElf(path));
    return this.#facts.get(path);
  }

  #configuredDirectories(): readonly string[] {
    this.#configured ??= readLoaderConfiguration(this.#tree, "/etc/ld.so.conf");
    return this.#configured;
  }
}

/** The directories that the loader searches by itself, for a kind of ELF file. */
function defaultDirectories(kind: string): readonly string[] {
  const [bits, , machine] = kind.split("-");
  const multiarch = multiarchNames[machine ?? ""];
  const widths = bits === "64" ? ["/lib64", "/usr/lib64"] : ["/lib32", "/usr/lib32"];
  return [...(multiarch ? [`/lib/${multiarch}`, `/usr/lib/${multiarch}`] : []), ...widths, "/lib", "/usr/lib"];
}

/** Debian's directory names by ELF machine number. Source: Debian wiki, "Multiarch/Tuples"; elf.h. */
const multiarchNames: Readonly<Record<string, string>> = {
  "3": "i386-linux-gnu",
  "40": "arm-linux-gnueabihf",
  "62": "x86_64-linux-gnu",
  "183": "aarch64-linux-gnu",
  "243": "riscv64-linux-gnu",
};

function expandTokens(directory: string, origin: string, facts: ElfFacts): string {
  const lib = facts.kind.startsWith("64") ? "lib64" : "lib";
  return directory.replace(/\$\{?ORIGIN\}?/g, origin).replace(/\$\{?LIB\}?/g, lib);
}

/** Its lines are directories, or `include` and a pattern whose last part may have stars. */
function readLoaderConfiguration(tree: HostTree, file: string, depth = 0): readonly string[] {
  if (depth > 4 || !tree.exists(file)) return [];
  tree.note(file);
  const directories: string[] = [];
  for (const line of readFileSync(file, "utf8").split("\n")) {
    const text = line.replace(/#.*/, "").trim();
    const include = /^include\s+(\S+)$/.exec(text)?.[1];
    if (include !== undefined)
      for (const inner of matchFiles(tree, "/etc", include))
        directories.push(...readLoaderConfiguration(tree, inner, depth + 1));
    else if (text.startsWith("/")) directories.push(text);
  }
  return directories;
}

function matchFiles(tree: HostTree, base: string, pattern: string): string[] {
  const absolute = pattern.startsWith("/") ? pattern : join(base, pattern);
  const directory = dirname(absolute);
  const matches = makeNameMatcher(absolute.slice(directory.length + 1));
  return tree
    .list(directory)
    .filter(matches)
    .map((name) => join(directory, name));
}

/** Whether a name fits a pattern in which `*` stands for any characters. */
export function makeNameMatcher(pattern: string): (name: string) => boolean {
  const expression = new RegExp(
    `^${pattern
      .split("*")
      .map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"))
      .join(".*")}$`,
  );
  return (name) => expression.test(name);
}
