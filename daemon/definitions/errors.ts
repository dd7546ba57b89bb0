/** The errors of definitions and worlds: what a person wrote that cannot be read, or names what is not there. */
import { errorClass, row } from "../../derivations/error.ts";

const documentation = "docs/derivations.md lists all that a definition may hold";

export const definitionErrors = {
  DEFINITION_NOT_FOUND: row(
    (d: { target: string; file: string; nearest: readonly string[] }) =>
      `there is no definition ${d.target}: ${d.file} does not exist`,
    (d) =>
      d.nearest.length > 0
        ? `Did you mean ${orList(d.nearest)}?`
        : "Name a definition file, a .drv file, or a store path",
  ),
  DEFINITION_FOLDER_EMPTY: row(
    (d: { folder: string; wanted: string; definitions: readonly string[] }) =>
      `${d.folder} is a folder, and has no ${d.wanted} that would stand for it`,
    (d) =>
      d.definitions.length > 0
        ? `Name a definition in it: ${orList(d.definitions)}`
        : "Name a definition file, a .drv file, or a store path; no file in it has the name of one",
  ),
  DEFINITION_UNREADABLE: row(
    (d: { file: string; reason: string }) => `${d.file} cannot be read: ${d.reason}`,
    "Check that it is an ordinary file and that you may read it",
  ),
  DEFINITION_KIND_UNKNOWN: row(
    (d: { file: string }) => `${d.file} is no kind of definition that is known`,
    "A definition is a .ts, .mts, .js, .mjs, .json or .drv file",
  ),
  DEFINITION_SYNTAX: row(
    (d: { file: string; line: number; reason: string }) => `${at(d.file, d.line)} is not valid: ${d.reason}`,
    "Correct the file; TypeScript's types are stripped only, so enums, namespaces and parameter properties are not possible",
  ),
  DEFINITION_THREW: row(
    (d: { file: string; line: number; reason: string }) => `the definition ${at(d.file, d.line)} failed: ${d.reason}`,
    "Correct the definition: this error was thrown by its own code, or by what it imports",
  ),
  DEFINITION_IMPORT_MISSING: row(
    (d: { file: string; reason: string }) => `the definition ${d.file} imports what is not there: ${d.reason}`,
    'Check the import; relative ones need their extension (`./lib.ts`), and "cloister" is always there',
  ),
  DEFINITION_EXPORT_MISSING: row(
    (d: { file: string; name: string; exports: readonly string[]; nearest: readonly string[] }) =>
      d.name === "default" ? `${d.file} has no default export` : `${d.file} has nothing of the name ${d.name}`,
    (d) => {
      if (d.nearest.length > 0) return `Did you mean ${orList(d.nearest.map((name) => `${d.file}#${name}`))}?`;
      return d.exports.length > 0
        ? `It has ${d.exports.join(", ")}: name one as ${d.file}#NAME`
        : "Write `export default derivation({ … })`";
    },
  ),
  DEFINITION_EXPORT_AMBIGUOUS: row(
    (d: { file: string; name: string; names: readonly string[] }) =>
      `${d.name === "default" ? d.file : `${d.file}#${d.name}`} holds several derivations: ${d.names.join(", ")}`,
    (d) => `Name one of them, such as ${d.file}#${d.names[0] ?? "NAME"}`,
  ),
  DEFINITION_NOT_A_DERIVATION: row(
    (d: { file: string; name: string; found: string }) => `${d.file}#${d.name} is ${d.found}, not a derivation`,
    "Export what derivation({ … }) gives, or an object or array of such",
  ),
  DEFINITION_INVALID: row(
    (d: { where: string; problems: readonly string[] }) =>
      `the definition ${d.where} is not valid: ${d.problems.join("; ")}`,
    documentation,
  ),
  DEFINITION_OUTPUT_UNKNOWN: row(
    (d: { where: string; name: string; output: string; outputs: readonly string[] }) =>
      `${d.where} uses the output ${d.output} of ${d.name}, which has only ${d.outputs.join(", ")}`,
    (d) => `Use one of ${d.outputs.join(", ")}, or add the output to ${d.name}`,
  ),
  DEFINITION_CYCLE: row(
    (d: { names: readonly string[] }) => `a definition depends on itself: ${d.names.join(" → ")}`,
    "Take one of the dependencies out of the circle",
  ),
  DEFINITION_NO_SHELL: row(
    (d: { where: string; world: string }) => `${d.where} has a script, but ${d.world} holds no shell to run it`,
    'Add "bash" to the world\'s programs, or give `builder` and `args` in place of `script`',
  ),
  SOURCE_NOT_FOUND: row(
    (d: { path: string; where: string }) => `the source ${d.path} of ${d.where} does not exist`,
    "source(PATH) is relative to the file that calls it; check the name, or give an absolute path",
  ),
  SOURCE_UNREADABLE: row(
    (d: { path: string; reason: string }) => `the source ${d.path} cannot be read: ${d.reason}`,
    "All files of a source must be readable for you, and be regular files, directories or symbolic links",
  ),
  SOURCE_CHANGED: row(
    (d: { path: string }) => `the source ${d.path} changed while it was read`,
    "Wait until nothing writes to it any more, then start again",
  ),
  DEFINITION_PATH_NOT_VALID: row(
    (d: { path: string; where: string }) => `${d.where} uses the store path ${d.path}, which is not in the store`,
    "Build or add it first, or take it out of the definition",
  ),
  DRV_INPUT_MISSING: row(
    (d: { file: string; input: string }) =>
      `${d.file} needs ${d.input}, which is neither in the store nor beside the file`,
    "Put the .drv files and sources that it refers to into the same folder, or add them to the store first",
  ),
  DRV_INPUT_DIFFERENT: row(
    (d: { file: string; expected: string; found: string }) =>
      `${d.file} was to be ${d.expected} in the store, but its contents give ${d.found}`,
    "The file was changed, or belongs to another store; take it from the store it was written for",
  ),
  WORLD_PROGRAM_MISSING: row(
    (d: { program: string; searched: readonly string[] }) =>
      `this host has no program ${d.program} in ${d.searched.join(", ")}`,
    (d) =>
      `Install it (on Debian and Ubuntu \`apt-file search bin/${d.program}\` finds its package), or give its absolute path`,
  ),
  WORLD_PATH_MISSING: row(
    (d: { path: string; why: string }) => `${d.path} does not exist; it is wanted ${d.why}`,
    "Install what it belongs to, or take it out of the world",
  ),
  WORLD_PATH_UNUSABLE: row(
    (d: { path: string; why: string; reason: string }) => `${d.path} (${d.why}) cannot be part of a world: ${d.reason}`,
    "A world holds regular files, directories and symbolic links that you may read, outside proc, sys, dev, tmp, build and run",
  ),
  WORLD_LIBRARY_MISSING: row(
    (d: { library: string; neededBy: string }) => `${d.neededBy} needs ${d.library}, which this host does not have`,
    (d) => `Check with \`readelf -d ${d.neededBy}\`; install the library, or take the program out of the world`,
  ),
  WORLD_CHANGED: row(
    (d: { path: string }) => `${d.path} changed while the world was made of it`,
    "Wait until no package is being installed any more, then start again",
  ),
  ELF_INVALID: row(
    (d: { path: string; offset: number; reason: string }) =>
      `${d.path} is not a sound ELF file: ${d.reason} (byte ${d.offset})`,
    "The file is damaged: install its package again, or take it out of the world",
  ),
} as const;

export const DefinitionError = errorClass(definitionErrors, "DefinitionError");

function at(file: string, line: number): string {
  return line > 0 ? `${file}:${line}` : file;
}

function orList(names: readonly string[]): string {
  return names.join(" or ");
}
