/** When a derivation is valid, apart from its paths: those need its inputs (`checkOutputs`). */
import { outputPathName } from "./content-address.ts";
import type { Derivation } from "./derivation.ts";
import { DerivationError } from "./errors.ts";
import type { Output } from "./output.ts";
import { assertStorePathName, isDerivationPath } from "./store-path.ts";

/**
 * Throws DERIVATION_INVALID or STORE_PATH_NAME_INVALID for what can have no path or no build: no outputs, outputs of
 * several kinds, a fixed output beside others, names that no store path has, a NUL byte where a process cannot have one.
 */
export function validateDerivation(derivation: Derivation): void {
  const refuse = (reason: string) => new DerivationError("DERIVATION_INVALID", { name: derivation.name, reason });
  assertStorePathName(`${derivation.name}.drv`);
  if (derivation.name.endsWith(".drv")) throw refuse("its name ends with .drv");

  const kinds = new Set<Output["kind"]>();
  for (const [id, output] of derivation.outputs) {
    assertStorePathName(id);
    outputPathName(derivation.name, id);
    kinds.add(output.kind);
  }
  if (kinds.size === 0) throw refuse("it has no outputs");
  if (kinds.size > 1) throw refuse(`it has outputs of several kinds: ${[...kinds].sort().join(", ")}`);
  if (kinds.has("fixed") && (derivation.outputs.size > 1 || !derivation.outputs.has("out")))
    throw refuse("with a fixed output, it must have that one only, and its id must be out");

  for (const [path, ids] of derivation.inputDerivations) {
    if (!isDerivationPath(path)) throw refuse(`its input ${path} is not a derivation`);
    if (ids.size === 0) throw refuse(`it uses no output of its input ${path}`);
  }
  for (const bytes of [derivation.builder, ...derivation.args])
    if (bytes.includes(0)) throw refuse("its builder or arguments have a NUL byte");
  for (const [name, value] of derivation.environment) {
    if (name === "" || name.includes("=") || name.includes("\0"))
      throw refuse(`${JSON.stringify(name)} cannot be the name of an environment variable`);
    if (value.includes(0)) throw refuse(`its environment variable ${name} has a NUL byte`);
  }
}
