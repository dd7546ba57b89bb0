/** What is asked of builds, whether somebody waits for them or not; it is also what is kept of a detached request. */
import { absentOr, boolean, integer, list, oneOf } from "./schema.ts";
import { variationNames } from "./variations.ts";
import { buildLimits, count, derivedPath } from "./wire-values.ts";

export const askedOfBuild = {
  targets: list(derivedPath),
  mode: oneOf("normal", "check"),
  rounds: absentOr(count),
  vary: absentOr(list(oneOf(...variationNames))),
  keepFailed: absentOr(boolean),
  keepGoing: boolean,
  cores: count,
  timeoutMs: count,
  silenceMs: count,
  limits: absentOr(buildLimits),
  requireLimits: absentOr(boolean),
  seccompLog: absentOr(boolean),
  priority: absentOr(integer),
};
