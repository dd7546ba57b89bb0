/**
 * What outputs may refer to, as the derivation's attributes say. The checks see what was found in the contents; the world
 * that an output is registered with is no concern of theirs. Source: Nix manual, "Advanced Attributes".
 */
import { makePlaceholder } from "../../derivations/placeholder.ts";
import { parseFullStorePath, printStorePath, type StorePath } from "../../derivations/store-path.ts";
import type { OutputChecks } from "./attributes.ts";
import { BuildError } from "./errors.ts";
import type { PreparedBuild } from "./jail-for.ts";
import type { SettleContext, SettledOutput } from "./settled-output.ts";

/** Throws BUILD_REFERENCE_FORBIDDEN, BUILD_OUTPUT_TOO_BIG, and BUILD_ATTRIBUTE_INVALID for a check that names nothing. */
export function checkReferences(context: SettleContext, build: PreparedBuild, outputs: readonly SettledOutput[]): void {
  for (const output of outputs) {
    const checks = build.attributes.checksOf(output.id);
    checkSizes(context, outputs, output, checks);
    if (isUnchecked(checks)) continue;

    const isOther = (path: StorePath) => !checks.ignoreSelfReferences || path !== output.info.path;
    const direct = [...output.scanned].filter(isOther);
    const all = findRequisites(context, outputs, output).filter(isOther);
    const named = (rule: string, texts: readonly string[]) =>
      new Set(texts.map((text) => resolveName(context, outputs, rule, text)));

    const { allowedReferences, allowedRequisites, disallowedReferences, disallowedRequisites } = checks;
    const refuse = (rule: string, forbidden: readonly StorePath[]) => {
      if (forbidden.length > 0) throw forbiddenError(context, output, rule, forbidden);
    };
    if (allowedReferences !== undefined) {
      const allowed = named("allowedReferences", allowedReferences);
      refuse(
        "allowedReferences",
        direct.filter((path) => !allowed.has(path)),
      );
    }
    if (allowedRequisites !== undefined) {
      const allowed = named("allowedRequisites", allowedRequisites);
      refuse(
        "allowedRequisites",
        all.filter((path) => !allowed.has(path)),
      );
    }
    const disallowed = named("disallowedReferences", disallowedReferences);
    refuse(
      "disallowedReferences",
      direct.filter((path) => disallowed.has(path)),
    );
    const disallowedAll = named("disallowedRequisites", disallowedRequisites);
    refuse(
      "disallowedRequisites",
      all.filter((path) => disallowedAll.has(path)),
    );
  }
}

/** Nothing is asked of these outputs but that they are there. */
export function areUnchecked(build: PreparedBuild): boolean {
  return build.outputs.every(({ id }) => {
    const checks = build.attributes.checksOf(id);
    return isUnchecked(checks) && checks.maxSize === undefined && checks.maxClosureSize === undefined;
  });
}

function isUnchecked(checks: OutputChecks): boolean {
  return (
    checks.allowedReferences === undefined &&
    checks.allowedRequisites === undefined &&
    checks.disallowedReferences.length === 0 &&
    checks.disallowedRequisites.length === 0
  );
}

function checkSizes(
  { subject, store }: SettleContext,
  outputs: readonly SettledOutput[],
  output: SettledOutput,
  { maxSize, maxClosureSize }: OutputChecks,
): void {
  const refuse = (rule: string, limitBytes: bigint, sizeBytes: bigint) => {
    if (sizeBytes > limitBytes)
      throw new BuildError("BUILD_OUTPUT_TOO_BIG", {
        ...subject,
        outputId: output.id,
        rule,
        limitBytes: Number(limitBytes),
        sizeBytes: Number(sizeBytes),
      });
  };
  if (maxSize !== undefined) refuse("maxSize", maxSize, output.info.narSize);
  if (maxClosureSize === undefined) return;

  let total = output.info.narSize;
  const own = new Map(outputs.map(({ info }) => [info.path, info.narSize]));
  for (const path of findRequisites({ store }, outputs, output))
    if (path !== output.info.path) total += own.get(path) ?? store.findPathInfo(path)?.narSize ?? 0n;
  refuse("maxClosureSize", maxClosureSize, total);
}

/** All that is reached from what the output names; itself only where something in there names it. */
function findRequisites(
  { store }: Pick<SettleContext, "store">,
  outputs: readonly SettledOutput[],
  output: SettledOutput,
): StorePath[] {
  const own = new Map(outputs.map((one) => [one.info.path, one.scanned]));
  const found = new Set<StorePath>();
  const stack = [...output.scanned];
  for (let path = stack.pop(); path !== undefined; path = stack.pop()) {
    if (found.has(path)) continue;
    found.add(path);
    stack.push(...(own.get(path) ?? store.graph.references(path)));
  }
  return [...found];
}

/** The path that a check names: a full path, an output's id, or an output's placeholder. */
function resolveName(
  { subject, store }: SettleContext,
  outputs: readonly SettledOutput[],
  rule: string,
  name: string,
): StorePath {
  const output = outputs.find(({ id }) => id === name || makePlaceholder(id) === name);
  if (output !== undefined) return output.info.path;
  try {
    return parseFullStorePath(store.directory, name);
  } catch (cause) {
    const reason = `${JSON.stringify(name)} is neither an output nor a store path`;
    throw new BuildError("BUILD_ATTRIBUTE_INVALID", { ...subject, attribute: rule, reason }, { cause });
  }
}

function forbiddenError(
  { subject, store }: SettleContext,
  output: SettledOutput,
  rule: string,
  forbidden: readonly StorePath[],
) {
  const references = [...forbidden].sort().map((path) => printStorePath(store.directory, path));
  return new BuildError("BUILD_REFERENCE_FORBIDDEN", { ...subject, outputId: output.id, rule, references });
}
