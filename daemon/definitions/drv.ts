/** A .drv file from anywhere on disk, sent to the store together with what it refers to and that lies beside it. */
import { lstatSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { parseDerivation } from "../../derivations/aterm.ts";
import { makeTextPath } from "../../derivations/content-address.ts";
import { referencesOf } from "../../derivations/derivation.ts";
import { isDerivationPath, nameOf, type StoreDirectory, type StorePath } from "../../derivations/store-path.ts";
import { dumpTree } from "../../sandbox-native/read-tree.ts";
import type { Service } from "../api/service.ts";
import { DefinitionError } from "./errors.ts";

interface DrvFile {
  readonly file: string;
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly path: StorePath;
  readonly references: readonly StorePath[];
}

/**
 * Makes the .drv valid in the store and gives its path. Throws DEFINITION_UNREADABLE, ATERM_INVALID, DRV_INPUT_MISSING,
 * DRV_INPUT_DIFFERENT, and what the service throws.
 */
export async function addDrvFile(
  service: Service,
  file: string,
  options: { readonly storeDirectory: StoreDirectory; readonly signal?: AbortSignal },
): Promise<StorePath> {
  const { storeDirectory } = options;
  const root = readDrvFile(storeDirectory, file);
  const folder = dirname(file);
  const done = new Set(await service.queryValidPaths([root.path, ...root.references], options));
  const pending = done.has(root.path) ? [] : [root];
  for (let drv = pending.at(-1); drv !== undefined; drv = pending.at(-1)) {
    const unknown = drv.references.filter((path) => !done.has(path));
    for (const path of await service.queryValidPaths(unknown, options)) done.add(path);
    const missing = unknown.filter((path) => !done.has(path));
    for (const path of missing.filter((each) => !isDerivationPath(each))) {
      await addSourceBeside(service, drv.file, join(folder, path), path, options);
      done.add(path);
    }
    const next = missing.find(isDerivationPath);
    if (next !== undefined) {
      const beside = join(folder, next);
      if (!exists(beside)) throw new DefinitionError("DRV_INPUT_MISSING", { file: drv.file, input: next });
      const input = readDrvFile(storeDirectory, beside);
      if (input.path !== next)
        throw new DefinitionError("DRV_INPUT_DIFFERENT", { file: beside, expected: next, found: input.path });
      pending.push(input); // a circle cannot be: each path is a hash over those below it
      continue;
    }
    await service.addText(`${drv.name}.drv`, drv.bytes, drv.references, options);
    done.add(drv.path);
    pending.pop();
  }
  return root.path;
}

function readDrvFile(storeDirectory: StoreDirectory, file: string): DrvFile {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new DefinitionError("DEFINITION_UNREADABLE", { file, reason }, { cause: error });
  }
  const name = basename(file)
    .replace(/^[0-9a-z]{32}-/, "")
    .replace(/\.drv$/, "");
  const references = referencesOf(parseDerivation(storeDirectory, name, bytes));
  return { file, name, bytes, path: makeTextPath(storeDirectory, `${name}.drv`, bytes, references), references };
}

async function addSourceBeside(
  service: Service,
  neededBy: string,
  place: string,
  path: StorePath,
  options: { readonly signal?: AbortSignal },
): Promise<void> {
  if (!exists(place)) throw new DefinitionError("DRV_INPUT_MISSING", { file: neededBy, input: path });
  const info = await service.addSource(
    nameOf(path),
    { kind: "source", references: [] },
    dumpTree(place, options),
    options,
  );
  if (info.path !== path)
    throw new DefinitionError("DRV_INPUT_DIFFERENT", { file: place, expected: path, found: info.path });
}

function exists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}
