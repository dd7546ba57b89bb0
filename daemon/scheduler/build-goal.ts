/** Builds one goal, as the request says that asked for it first. */
import type { BuildOptions, Caller } from "../api/service.ts";
import { type BuildDerivationOptions, type BuildOutcome, buildDerivation } from "../build/build-derivation.ts";
import { checkDerivation } from "../build/check-rounds.ts";
import type { BuildContext } from "../build/context.ts";
import type { BuildGoal } from "./plan.ts";
import { broken } from "./unbuilt.ts";

type Hooks = Pick<BuildDerivationOptions, "onJailFree" | "onResources" | "onEvent" | "hold" | "leaseOwner" | "signal">;

export interface BuildGoalOptions extends Hooks {
  readonly asked: BuildOptions & { readonly caller?: Caller };
  /** What a builder is told where the request says 0. */
  readonly cores: number;
}

/** Never throws: a mistake of ours ends this build, and is told to whoever wants it. */
export async function buildGoal(
  context: BuildContext,
  goal: BuildGoal,
  { asked, cores, ...hooks }: BuildGoalOptions,
): Promise<BuildOutcome> {
  const { drvPath, derivation, check } = goal;
  try {
    const options: Omit<BuildDerivationOptions, "mode"> = {
      ...hooks,
      cores: asked.cores || cores,
      timeoutMs: asked.timeoutMs,
      silenceMs: asked.silenceMs,
      ...(asked.limits && { limits: asked.limits }),
      ...(asked.requireLimits === true && { requireLimits: true }),
      ...(asked.keepFailed === true && { keepFailed: true }),
      ...(asked.seccompLog && { seccompLog: true }),
      ...(asked.caller && { caller: asked.caller }),
    };
    if (check !== undefined) return await checkDerivation(context, drvPath, derivation, { ...options, ...check });
    return await buildDerivation(context, drvPath, derivation, { ...options, mode: "normal" });
  } catch (error) {
    return { result: broken(context, goal, error), lastLogLines: [] };
  }
}
