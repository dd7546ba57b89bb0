/**
 * Definitions as TypeScript or JavaScript modules, run by this very Node, which strips the types itself. `import
 * "cloister"` gives the program that runs, wherever the module lies; all else resolves as Node does it.
 */
import { readFileSync } from "node:fs";
import { registerHooks, stripTypeScriptTypes } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Place } from "./caller.ts";
import { DefinitionError } from "./errors.ts";

/** The extensions of modules that can be definitions. */
export const moduleExtensions: readonly string[] = [".ts", ".mts", ".cts", ".js", ".mjs", ".cjs"];

/**
 * Evaluates a module and gives its exports. Throws DEFINITION_SYNTAX, DEFINITION_IMPORT_MISSING, DEFINITION_THREW; an
 * error of ours that the module's own calls threw comes through as it is.
 */
export async function loadModule(file: string): Promise<Readonly<Record<string, unknown>>> {
  installHooks();
  loadedFiles.length = 0;
  const restoreWarnings = silenceTypeStripping();
  try {
    return await import(pathToFileURL(file).href);
  } catch (error) {
    throw explain(file, error);
  } finally {
    restoreWarnings();
  }
}

/** The library beside this module: `library.ts` in the sources, `library.js` once compiled. */
const libraryUrl = new URL(import.meta.url.endsWith(".ts") ? "../library.ts" : "../library.js", import.meta.url).href;

let hooksInstalled = false;

/** The files that were loaded since the last definition began: one of them has the syntax error, if there is one. */
const loadedFiles: string[] = [];

function installHooks(): void {
  if (hooksInstalled) return;
  hooksInstalled = true;
  registerHooks({
    resolve(specifier, context, nextResolve) {
      if (specifier === "cloister") return { url: libraryUrl, shortCircuit: true };
      return nextResolve(specifier, context);
    },
    load(url, context, nextLoad) {
      if (url.startsWith("file:")) loadedFiles.push(fileURLToPath(url));
      // Without a package.json that says so, Node would try CommonJS first, then warn and parse again.
      if (context.format == null && /^file:.*\.[jt]s$/.test(url))
        return nextLoad(url, { ...context, format: url.endsWith(".ts") ? "module-typescript" : "module" });
      return nextLoad(url, context);
    },
  });
}

/** Node 22 warns that stripping types is experimental; a definition's author can do nothing about it. */
function silenceTypeStripping(): () => void {
  const { emitWarning } = process;
  const quiet = (warning: string | Error, ...rest: unknown[]) => {
    if (/type stripping|stripTypeScriptTypes/i.test(String(warning))) return;
    Reflect.apply(emitWarning, process, [warning, ...rest]);
  };
  process.emitWarning = quiet as typeof process.emitWarning;
  return () => {
    process.emitWarning = emitWarning;
  };
}

function explain(file: string, error: unknown): unknown {
  if (!(error instanceof Error))
    return new DefinitionError("DEFINITION_THREW", { file, line: 0, reason: `it threw ${String(error)}` });
  const code = "code" in error ? String(error.code) : "";
  if (isOurs(error)) return error;
  const options = { cause: error };
  const reason = error.message;
  const place = findPlace(error, file);
  if (
    code === "ERR_MODULE_NOT_FOUND" ||
    code === "ERR_UNSUPPORTED_DIR_IMPORT" ||
    /does not provide an export named/.test(reason)
  )
    return new DefinitionError("DEFINITION_IMPORT_MISSING", { file: place.file, reason }, options);
  if (error instanceof SyntaxError || error.name === "SyntaxError")
    return new DefinitionError(
      "DEFINITION_SYNTAX",
      { ...(place.line > 0 ? place : findSyntaxError(file)), reason },
      options,
    );
  return new DefinitionError("DEFINITION_THREW", { ...place, reason: `${error.name}: ${reason}` }, options);
}

/** Of a module in JavaScript the engine tells neither file nor line: the parser for TypeScript, which strips types, does. */
function findSyntaxError(file: string): Place {
  for (const each of loadedFiles) {
    try {
      stripTypeScriptTypes(readFileSync(each, "utf8"), { sourceUrl: each });
    } catch (error) {
      const place = error instanceof Error ? findPlace(error, each) : undefined;
      if (place !== undefined && place.line > 0) return place;
    }
  }
  return { file, line: 0 };
}

/** Thrown by `parseStoreDirectory` and the like when a definition calls us: it has code and hint already. */
function isOurs(error: Error): boolean {
  return "code" in error && "hint" in error && "details" in error;
}

/**
 * The file and line that an error came from: Node puts them before a syntax error's stack, and the first frame that is
 * a file is where something was thrown. Line 0 if unknown.
 */
function findPlace(error: Error, file: string): Place {
  const stack = error.stack ?? "";
  const head = /^(?:(file:\/\/\S+)|(\/[^\n]*)):(\d+)\n/.exec(stack);
  if (head !== null)
    return { file: head[1] === undefined ? (head[2] ?? file) : fileURLToPath(head[1]), line: Number(head[3]) };
  const frame = /\bat (?:.*\()?(file:\/\/[^\s)]+?|\/[^\s)]+?):(\d+):\d+\)?/.exec(stack);
  if (frame === null) return { file, line: 0 };
  const name = frame[1] ?? file;
  return { file: name.startsWith("file:") ? fileURLToPath(name) : name, line: Number(frame[2]) };
}
