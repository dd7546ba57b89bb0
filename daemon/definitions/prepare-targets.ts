/** What people name on a command line, made ready to be built: the short way for programs. */
import type { DerivedPath } from "../../derivations/derived-path.ts";
import type { Cancellable, Service } from "../api/service.ts";
import { cacheDirectory } from "./cache-directory.ts";
import { loadTargets, resolveTarget } from "./target.ts";

export interface PrepareOptions extends Cancellable {
  /** What relative names start from; by default the process's. */
  readonly cwd?: string;
  /** Where it is remembered what worlds of this host hold; by default this user's, "~/.cache/cloister". */
  readonly cacheDirectory?: string;
  /** Told, in a sentence, what takes time. */
  readonly onProgress?: (line: string) => void;
}

/**
 * Evaluates definitions such as "hello.ts" or "libs.ts#greet^dev", and makes their derivations and all they need valid in
 * the store; builds nothing. A name that holds several derivations gives them all. Throws DEFINITION_*, SOURCE_*,
 * WORLD_*, and what the service throws.
 */
export async function prepareTargets(
  service: Service,
  names: readonly string[],
  options: PrepareOptions = {},
): Promise<readonly DerivedPath[]> {
  const { system, storeDirectory } = await service.status(options);
  const how = { cacheDirectory: cacheDirectory(), ...options, system, storeDirectory };
  const derived: DerivedPath[] = [];
  for (const name of names)
    for (const target of await loadTargets(name, { cwd: options.cwd ?? process.cwd() }))
      derived.push(await resolveTarget(service, target, how));
  return derived;
}
