/**
 * What a request takes: the derivations that have to be built for its targets, each after what it needs. Only those whose
 * wanted outputs are not valid are looked into; all that is looked at is held first, so that it stays as it was seen.
 */
import type { BuildResult } from "../../derivations/build-result.ts";
import type { Derivation } from "../../derivations/derivation.ts";
import type { DerivedPath } from "../../derivations/derived-path.ts";
import { CloisterError } from "../../derivations/error.ts";
import { printStorePath, type StorePath } from "../../derivations/store-path.ts";
import type { CheckOptions } from "../build/check-rounds.ts";
import type { BuildContext } from "../build/context.ts";
import { BuildError } from "../build/errors.ts";
import { findOutput, findValidOutputs } from "../build/known-outputs.ts";

export type GoalKey = string;

/** A derivation to be built, or to be built once more and compared. */
export interface BuildGoal {
  readonly key: GoalKey;
  /** How it is built once more and compared; absent if it is built because it is not there. */
  readonly check?: CheckOptions;
  readonly drvPath: StorePath;
  readonly derivation: Derivation;
  /** The goals of the same plan that must have succeeded before. */
  readonly needs: readonly GoalKey[];
}

/** What becomes of one target: known at once, or that of a goal. */
export type PlannedTarget =
  | { readonly kind: "settled"; readonly result: BuildResult }
  | { readonly kind: "goal"; readonly key: GoalKey; readonly outputIds: readonly string[] };

export interface Plan {
  /** Each after what it needs. */
  readonly goals: readonly BuildGoal[];
  /** In the order of the targets. */
  readonly targets: readonly PlannedTarget[];
  /** How many of the requested outputs are valid already. */
  readonly alreadyValid: number;
}

/**
 * Never throws for what is wrong with a target: then its result says so. `hold` takes leases; `pause` is awaited now and
 * then, for a plan of thousands must not keep the others waiting.
 */
export async function makePlan(
  context: BuildContext,
  targets: readonly DerivedPath[],
  options: {
    /** Build valid outputs once more. */
    readonly check?: CheckOptions | undefined;
    readonly hold: (paths: readonly StorePath[]) => void;
    readonly pause: () => Promise<void>;
  },
): Promise<Plan> {
  const planner = new Planner(context, options.hold, options.pause);
  const planned: PlannedTarget[] = [];
  for (const target of targets) {
    try {
      planned.push(
        target.kind === "opaque"
          ? await planner.planOpaque(target.path)
          : await planner.planBuilt(target.drvPath, target.outputs, options.check),
      );
    } catch (error) {
      if (!(error instanceof CloisterError)) throw error;
      const path = target.kind === "opaque" ? target.path : target.drvPath;
      planned.push({
        kind: "settled",
        result: { drvPath: path, status: "failed", outputs: {}, error: error.toData() },
      });
    }
  }
  return { goals: planner.goals, targets: planned, alreadyValid: planner.alreadyValid };
}

/** One derivation on the way down: its inputs are looked at one after the other. */
interface Visit {
  readonly drvPath: StorePath;
  readonly derivation: Derivation;
  readonly inputs: Iterator<[StorePath, ReadonlySet<string>]>;
  readonly needs: GoalKey[];
}

/** Derivations that are looked into between two pauses. */
const visitsPerTurn = 200;

class Planner {
  readonly #context: BuildContext;
  readonly #hold: (paths: readonly StorePath[]) => void;
  readonly #pause: () => Promise<void>;
  readonly #goals = new Map<GoalKey, BuildGoal>();
  #visits = 0;
  alreadyValid = 0;

  constructor(context: BuildContext, hold: (paths: readonly StorePath[]) => void, pause: () => Promise<void>) {
    this.#context = context;
    this.#hold = hold;
    this.#pause = pause;
  }

  get goals(): BuildGoal[] {
    return [...this.#goals.values()];
  }

  async planOpaque(path: StorePath): Promise<PlannedTarget> {
    const { store } = this.#context;
    const doubt = this.#holdAndDoubt([path]);
    if (doubt !== undefined) await doubt;
    if (!store.graph.has(path))
      throw new BuildError("BUILD_TARGET_NOT_VALID", { path: printStorePath(store.directory, path) });
    this.alreadyValid += 1;
    return { kind: "settled", result: { drvPath: path, status: "already-valid", outputs: { out: path } } };
  }

  async planBuilt(
    drvPath: StorePath,
    wanted: "all" | readonly string[],
    check: CheckOptions | undefined,
  ): Promise<PlannedTarget> {
    const doubt = this.#holdAndDoubt([drvPath]); // and by it all that its inputs were made from
    if (doubt !== undefined) await doubt;
    const derivation = this.#context.store.derivations.get(drvPath);
    const outputIds = wanted === "all" ? [...derivation.outputs.keys()] : wanted;
    this.#assertOutputs(drvPath, derivation, outputIds);

    const valid = await this.#findValid(
      drvPath,
      derivation,
      check === undefined ? outputIds : derivation.outputs.keys(),
    );
    if (valid !== undefined) this.alreadyValid += outputIds.length;
    if (valid !== undefined && check === undefined)
      return { kind: "settled", result: { drvPath, status: "already-valid", outputs: valid } };

    const added = new Map<GoalKey, BuildGoal>(); // all or nothing: of a target that cannot be planned, nothing is built
    const needs = await this.#planInputs(drvPath, derivation, added);
    if (valid === undefined) added.set(drvPath, { key: drvPath, drvPath, derivation, needs });
    const key = check === undefined ? drvPath : `check ${check.rounds} ${check.vary.join(",")}:${drvPath}`;
    if (check !== undefined)
      added.set(key, { key, check, drvPath, derivation, needs: valid === undefined ? [drvPath] : needs });
    for (const goal of added.values()) if (!this.#goals.has(goal.key)) this.#goals.set(goal.key, goal);
    return { kind: "goal", key, outputIds };
  }

  /** Adds goals for all inputs that are not valid, and returns those that the derivation itself needs. */
  async #planInputs(drvPath: StorePath, derivation: Derivation, added: Map<GoalKey, BuildGoal>): Promise<GoalKey[]> {
    const top = visit(drvPath, derivation);
    const stack = [top];
    for (let current = stack.at(-1); current !== undefined; current = stack.at(-1)) {
      const next = current.inputs.next();
      if (next.done) {
        stack.pop();
        if (current === top) break;
        const { drvPath: key, derivation: built, needs } = current;
        added.set(key, { key, drvPath: key, derivation: built, needs });
        continue;
      }
      const [input, outputIds] = next.value;
      if (!added.has(input) && !this.#goals.has(input)) {
        const inputDerivation = this.#context.store.derivations.get(input);
        if ((await this.#findValid(input, inputDerivation, outputIds)) !== undefined) continue;
        stack.push(visit(input, inputDerivation));
        this.#visits += 1;
        if (this.#visits % visitsPerTurn === 0) await this.#pause();
      }
      current.needs.push(input);
    }
    return top.needs;
  }

  async #findValid(drvPath: StorePath, derivation: Derivation, outputIds: Iterable<string>) {
    const { store } = this.#context;
    const ids = [...outputIds];
    const known = ids.map((id) => findOutput(store, drvPath, derivation, id)).filter((path) => path !== undefined);
    const doubt = this.#holdAndDoubt(known);
    if (doubt !== undefined) await doubt;
    return findValidOutputs(store, drvPath, derivation, ids);
  }

  /** After a crash of the machine a path may be in doubt: then it is to be waited for, until it is valid again or is not. */
  #holdAndDoubt(paths: readonly StorePath[]): Promise<void> | undefined {
    this.#hold(paths);
    return this.#context.store.doubtedPaths > 0 ? this.#context.store.whenBelieved(paths) : undefined;
  }

  #assertOutputs(drvPath: StorePath, derivation: Derivation, outputIds: readonly string[]): void {
    for (const outputId of outputIds)
      if (!derivation.outputs.has(outputId))
        throw new BuildError("BUILD_OUTPUT_UNKNOWN", {
          drvPath: printStorePath(this.#context.store.directory, drvPath),
          name: derivation.name,
          outputId,
          outputIds: [...derivation.outputs.keys()],
        });
  }
}

function visit(drvPath: StorePath, derivation: Derivation): Visit {
  return { drvPath, derivation, inputs: derivation.inputDerivations.entries(), needs: [] };
}
