/**
 * A check of several builds: each in a jail of its own, with all that was asked for varied at once. Where one comes out
 * differently, more builds find out why: first some in which nothing is varied, then one for each variation.
 */
import type { BuildResult } from "../../derivations/build-result.ts";
import type { Derivation } from "../../derivations/derivation.ts";
import type { DetailsOf } from "../../derivations/error.ts";
import type { StorePath } from "../../derivations/store-path.ts";
import type { Verdict } from "../../derivations/verdict.ts";
import type { VariationName } from "../api/variations.ts";
import { type BuildDerivationOptions, type BuildOutcome, buildDerivation } from "./build-derivation.ts";
import type { BuildContext } from "./context.ts";
import { BuildError, type buildErrors } from "./errors.ts";
import { makeVariation } from "./variation.ts";

export interface CheckOptions {
  /** With the one in the store; at least 2. */
  readonly rounds: number;
  readonly vary: readonly VariationName[];
}

type Options = Omit<BuildDerivationOptions, "mode" | "variation" | "isProbe">;

/** As `buildDerivation`, of a derivation whose outputs are valid; the result and the last build's record have the verdict. */
export async function checkDerivation(
  context: BuildContext,
  drvPath: StorePath,
  derivation: Derivation,
  options: Options & CheckOptions,
): Promise<BuildOutcome> {
  const { rounds, vary, onJailFree: _, ...rest } = options; // it keeps its slot until all its builds are over
  const build = (names: readonly VariationName[], isProbe: boolean) =>
    buildDerivation(context, drvPath, derivation, {
      ...rest,
      mode: "check",
      isProbe,
      keepFailed: options.keepFailed === true && !isProbe,
      ...(vary.length > 0 && { variation: makeVariation(names, vary, options.cores) }),
    });

  let outcome = await build(vary, false);
  let round = 2;
  for (; round < rounds && outcome.result.error === undefined; round += 1) outcome = await build(vary, false);

  const { result, compared = {} } = outcome;
  if (result.recordId === undefined || result.status === "cancelled") return outcome;
  const finding =
    result.error === undefined ? same : await new Search(outcome, (names) => build(names, true)).find(vary);
  if (finding === undefined) return outcome; // it fails whatever is varied: no more is to be said than its error
  if ("status" in finding) return { ...outcome, result: finding };
  const verdict: Verdict = { ...finding, rounds: round, varied: vary, outputs: compared };
  return { ...outcome, result: note(context, { ...result, verdict }) };
}

type Found = Pick<Verdict, "finding" | "causes">;

const same: Found = { finding: "same", causes: [] };

/** Looks for what made the difference. */
class Search {
  readonly #found: string;
  readonly #different: BuildOutcome;
  readonly #probe: (names: readonly VariationName[]) => Promise<BuildOutcome>;
  /** The result of a build that was cancelled, which ends the search. */
  #cancelled: BuildResult | undefined;

  constructor(different: BuildOutcome, probe: (names: readonly VariationName[]) => Promise<BuildOutcome>) {
    this.#different = different;
    this.#found = fingerprint(different);
    this.#probe = probe;
  }

  /** Undefined if there is nothing to be found; a result if the search was cancelled. */
  async find(vary: readonly VariationName[]): Promise<Found | BuildResult | undefined> {
    const isFailure = this.#different.result.error?.code !== "BUILD_NOT_DETERMINISTIC";
    if (vary.length === 0) return isFailure ? undefined : { finding: "unsteady", causes: [] };

    const plain = await this.#probe([]);
    if (this.#noteCancelled(plain)) return this.#cancelled;
    if (isFailure && plain.result.error !== undefined) return undefined;
    const usual = fingerprint(plain);
    if (!isLikeStore(plain)) {
      const again = await this.#probe([]);
      if (this.#noteCancelled(again)) return this.#cancelled;
      if (fingerprint(again) !== usual) return { finding: "unsteady", causes: [] };
    }
    if (usual === this.#found) return { finding: "store-differs", causes: [] };
    const causes: VariationName[] = [];
    for (const name of vary) {
      const difference = await this.#findDifference([name], usual);
      if (difference === "cancelled") return this.#cancelled;
      if (difference === "unsteady") return { finding: "unsteady", causes: [] };
      if (difference === "steady") causes.push(name);
    }
    if (causes.length > 0) return { finding: "depends", causes };
    const together = await this.#findDifference(vary, usual);
    if (together === "cancelled") return this.#cancelled;
    if (together === "steady") return { finding: "combination", causes: vary };
    return { finding: "unsteady", causes: [] }; // it has not happened again, or is another one each time
  }

  /** Whether the build comes out otherwise with these varied, and alike if they are varied so again. */
  async #findDifference(names: readonly VariationName[], usual: string) {
    const first = await this.#probe(names);
    if (this.#noteCancelled(first)) return "cancelled";
    if (fingerprint(first) === usual) return "none";
    const second = await this.#probe(names);
    if (this.#noteCancelled(second)) return "cancelled";
    return fingerprint(second) === fingerprint(first) ? "steady" : "unsteady";
  }

  #noteCancelled({ result }: BuildOutcome): boolean {
    if (result.status !== "cancelled") return false;
    this.#cancelled = result;
    return true;
  }
}

/** The same for builds of which the same came out. */
function fingerprint({ result, compared }: BuildOutcome): string {
  if (compared === undefined) return `failed: ${result.error?.code}`;
  return JSON.stringify(Object.entries(compared).map(([id, { otherNarHash }]) => [id, otherNarHash]));
}

function isLikeStore({ compared }: BuildOutcome): boolean {
  return compared !== undefined && Object.values(compared).every((output) => output.narHash === output.otherNarHash);
}

/** Puts what was found into the error and into the record. */
function note({ store }: BuildContext, result: BuildResult & { readonly verdict: Verdict }): BuildResult {
  const { verdict, recordId = "" } = result;
  const { finding, causes } = verdict;
  const error =
    result.error?.code === "BUILD_NOT_DETERMINISTIC"
      ? new BuildError("BUILD_NOT_DETERMINISTIC", {
          ...(result.error.details as unknown as DetailsOf<typeof buildErrors, "BUILD_NOT_DETERMINISTIC">),
          ...{ finding, causes },
        }).toData()
      : result.error;
  const record = store.records.find(recordId);
  if (record !== undefined) store.records.amend({ ...record, verdict, ...(error && { error }) });
  return { ...result, ...(error && { error }) };
}
