/** Which builds have a way out of their jail: those of fixed outputs, whose hash says what must come of it. */
import type { Derivation } from "../../derivations/derivation.ts";
import type { JailSpec } from "../../sandbox-native/jail-spec.ts";
import { findNameservers, findWhyNoWayOut, type NoWayOut } from "../../sandbox-native/way-out.ts";
import type { BuildContext, Subject } from "./context.ts";
import { BuildError } from "./errors.ts";

export interface BuildNetwork {
  readonly network: JailSpec["network"];
  /** Why a build that would have a way out has none. */
  readonly missing?: NoWayOut;
}

/** Throws BUILD_NETWORK_UNAVAILABLE where one is required and there is none. */
export function findNetwork(context: BuildContext, subject: Subject, derivation: Derivation): BuildNetwork {
  const { mode, pasta, blocked } = context.settings.network;
  const isFixed = [...derivation.outputs.values()].some(({ kind }) => kind === "fixed");
  if (!isFixed || mode === "none") return { network: "none" };
  const missing = findWhyNoWayOut(pasta, context.launcher.strength);
  const { nameservers = findNameservers(blocked) } = context.settings.network;
  if (missing === undefined)
    return { network: { kind: "outbound", blocked: [...blocked], nameservers: [...nameservers] } };
  if (mode === "required") throw new BuildError("BUILD_NETWORK_UNAVAILABLE", { ...subject, ...missing });
  return { network: "none", missing };
}
