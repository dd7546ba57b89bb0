/** Another place, user, order and so on for one build: what a builder is given otherwise, made from the names of what varies. */
import { bytes } from "../../derivations/bytes.ts";
import type { JailSpec } from "../../sandbox-native/jail-spec.ts";
import type { VariationName } from "../api/variations.ts";

/** What is absent is as always. */
export interface Variation {
  readonly names: readonly VariationName[];
  readonly buildDirectory?: string;
  readonly cores?: number;
  readonly hostName?: string;
  readonly umask?: number;
  /** Set where the derivation has no such variable. */
  readonly variables: ReadonlyMap<string, Uint8Array>;
  readonly jail: Pick<JailSpec, "otherIds" | "mostProcessors" | "freshView">;
}

/**
 * `among` is all that the check varies: where it is the order of the inputs, each build must have them mounted afresh, or
 * what builds before it had in their views would count. `cores` is what builders are told otherwise.
 */
export function makeVariation(
  names: readonly VariationName[],
  among: readonly VariationName[],
  cores: number,
): Variation {
  const has = (name: VariationName) => names.includes(name);
  const variables = new Map<string, Uint8Array>();
  if (has("locale")) for (const name of ["LANG", "LC_ALL"]) variables.set(name, bytes("C.UTF-8"));
  if (has("time-zone")) variables.set("TZ", bytes("AAA-05:45"));
  return {
    names,
    variables,
    ...(has("build-directory") && { buildDirectory: "/build-elsewhere" }),
    ...(has("cores") && { cores: cores + 1 }),
    ...(has("host-name") && { hostName: "elsewhere" }),
    ...(has("umask") && { umask: 0o027 }),
    jail: {
      ...(has("uid") && { otherIds: true }),
      ...(has("cores") && { mostProcessors: 1 }),
      ...(among.includes("input-order") && { freshView: true }),
    },
  };
}

/** Whether this build's order is to be turned round. */
export function isTurned(variation: Variation | undefined, name: "environment-order" | "input-order"): boolean {
  return variation?.names.includes(name) === true;
}
