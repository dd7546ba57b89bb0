/** The results of builds that did not run for a request, or that a mistake of ours ended. */
import type { BuildResult } from "../../derivations/build-result.ts";
import { printStorePath } from "../../derivations/store-path.ts";
import type { BuildContext } from "../build/context.ts";
import { BuildError } from "../build/errors.ts";
import type { BuildGoal } from "./plan.ts";

export function dependencyFailed(
  { store }: BuildContext,
  goal: BuildGoal,
  cause: BuildGoal,
  result: BuildResult,
): BuildResult {
  const error = new BuildError("BUILD_DEPENDENCY_FAILED", {
    drvPath: printStorePath(store.directory, goal.drvPath),
    name: goal.derivation.name,
    cause: printStorePath(store.directory, cause.drvPath),
    causeName: cause.derivation.name,
    causeCode: result.error?.code ?? "BUILD_CANCELLED",
  });
  return { drvPath: goal.drvPath, status: "dependency-failed", outputs: {}, error: error.toData() };
}

export function cancelled({ store }: BuildContext, goal: BuildGoal): BuildResult {
  const about = { drvPath: printStorePath(store.directory, goal.drvPath), name: goal.derivation.name };
  const error = new BuildError("BUILD_CANCELLED", about).toData();
  return { drvPath: goal.drvPath, status: "cancelled", outputs: {}, error };
}

/** A mistake of ours. */
export function broken({ store }: BuildContext, goal: BuildGoal, error: unknown): BuildResult {
  const failure = error instanceof Error ? error : new Error(String(error));
  const internal = new BuildError("BUILD_INTERNAL", {
    drvPath: printStorePath(store.directory, goal.drvPath),
    name: goal.derivation.name,
    problem: failure.message,
    stack: failure.stack ?? "",
  });
  return { drvPath: goal.drvPath, status: "failed", outputs: {}, error: internal.toData() };
}
