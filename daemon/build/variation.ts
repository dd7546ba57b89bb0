/** Another place, user, order and so on for one build: what a builder is given otherwise, made from the names of what varies. */
import { availableParallelism } from "node:os";
import { bytes } from "../../derivations/bytes.ts";
import type { VariationName } from "../api/variations.ts";

/** What is absent is as always. */
export interface Variation {
  readonly names: readonly VariationName[];
  readonly buildDirectory?: string;
  readonly ids?: { readonly uid: number; readonly gid: number };
  readonly cores?: number;
  /** Processors by number, of those that the launcher may use. */
  readonly processors?: readonly number[];
  readonly hostName?: string;
  readonly umask?: number;
  /** Set where the derivation has no such variable. */
  readonly variables: ReadonlyMap<string, Uint8Array>;
}

/** `cores` is what builders are told otherwise. */
export function makeVariation(names: readonly VariationName[], cores: number): Variation {
  const has = (name: VariationName) => names.includes(name);
  const variables = new Map<string, Uint8Array>();
  if (has("locale")) for (const name of ["LANG", "LC_ALL"]) variables.set(name, bytes("C.UTF-8"));
  if (has("time-zone")) variables.set("TZ", bytes("AAA-05:45"));
  return {
    names,
    variables,
    ...(has("build-directory") && { buildDirectory: "/build-elsewhere" }),
    ...(has("uid") && { ids: { uid: 1234, gid: 567 } }),
    ...(has("cores") && { cores: cores + 1, processors: [availableParallelism() - 1] }),
    ...(has("host-name") && { hostName: "elsewhere" }),
    ...(has("umask") && { umask: 0o027 }),
  };
}

/** Whether this build's order is to be turned round. */
export function isTurned(variation: Variation | undefined, name: "environment-order" | "input-order"): boolean {
  return variation?.names.includes(name) === true;
}
