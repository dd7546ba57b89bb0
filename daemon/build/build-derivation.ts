/**
 * The story of one build, from a derivation whose inputs are all valid to outputs that are registered, or to an error:
 * resolve the inputs, make the jail's order, hand it to the launcher, look at what came out, commit it in one call.
 */
import type { BuildRecord, BuildResources } from "../../derivations/build-record.ts";
import type { BuildResult } from "../../derivations/build-result.ts";
import { text } from "../../derivations/bytes.ts";
import type { Derivation } from "../../derivations/derivation.ts";
import { CloisterError } from "../../derivations/error.ts";
import { printStorePath, type StorePath } from "../../derivations/store-path.ts";
import type { ComparedOutput } from "../../derivations/verdict.ts";
import type { BuildAnswer, StopSignal } from "../../sandbox-native/launcher.ts";
import { commitOutputs } from "../../store/commit-outputs.ts";
import { crashPoint } from "../../store/crash-points.ts";
import type { BuildEvent } from "../api/events.ts";
import type { Caller } from "../api/service.ts";
import { BuildLog } from "./build-log.ts";
import type { BuildContext, Subject } from "./context.ts";
import { checkDeterminism, compareOutputs } from "./determinism-check.ts";
import { endingError } from "./ending.ts";
import { BuildError } from "./errors.ts";
import { findInputClosure, needsResolving, resolve } from "./inputs.ts";
import { type PreparedBuild, type PrepareOptions, prepareBuild } from "./jail-for.ts";
import { dropDirectory, keepDirectory } from "./keep-directory.ts";
import { adoptOutputs, findValidOutputs, noteOutputs } from "./known-outputs.ts";
import { settleOutputs } from "./outputs.ts";
import {
  endRecord,
  makeRecord,
  makeRecordId,
  type RecordEnd,
  type RecordStart,
  refusedCallsOf,
  withPlannedOutputs,
} from "./record.ts";
import { areUnchecked, checkReferences } from "./reference-checks.ts";
import type { SettleContext, SettledOutput } from "./settled-output.ts";

export interface BuildDerivationOptions extends PrepareOptions {
  /** "check": the outputs are valid; they are built once more and compared. */
  readonly mode: "normal" | "check";
  /** Of a check: what came out is only hashed; nothing is kept, and whatever it is, it is no failure. */
  readonly isProbe?: boolean;
  /** Who asked first. */
  readonly caller?: Pick<Caller, "uid">;
  readonly signal?: StopSignal;
  readonly onEvent: (event: BuildEvent & { kind: "build-started" | "build-log" }) => void;
  /** Called when the builder has succeeded: what is left to do needs no jail, and another build may have its slot. */
  readonly onJailFree?: () => void;
  /** Called when the builder has ended, with what it took. */
  readonly onResources?: (resources: BuildResources) => void;
  /** Called with paths before they are made, on whoever's behalf it is that the build runs. */
  readonly hold: (paths: readonly StorePath[]) => void;
  /** Under which what is added on the way is held. */
  readonly leaseOwner: string;
}

/** How a build ended, and the last lines of its log where it failed. */
export interface BuildOutcome {
  readonly result: BuildResult;
  readonly lastLogLines: readonly Uint8Array[];
  /** Of a check that came so far: what was made beside what is valid. */
  readonly compared?: Readonly<Record<string, ComparedOutput>>;
}

/**
 * Builds a derivation whose inputs are valid. What goes wrong with the build is in the result; only mistakes of ours are
 * thrown. The caller holds leases on the derivation and its inputs.
 */
export async function buildDerivation(
  context: BuildContext,
  drvPath: StorePath,
  derivation: Derivation,
  options: BuildDerivationOptions,
): Promise<BuildOutcome> {
  const { store } = context;
  const subject: Subject = { drvPath: printStorePath(store.directory, drvPath), name: derivation.name };
  try {
    if (options.signal?.aborted) throw new BuildError("BUILD_CANCELLED", subject);
    const asked = { drvPath, derivation };
    const buildable = needsResolving(context, derivation)
      ? await resolve(context, subject, asked, options.leaseOwner)
      : asked;
    let valid = findValidOutputs(store, drvPath, derivation);
    if (buildable.drvPath !== drvPath) valid ??= await adoptOutputs(store, drvPath, buildable);
    if (valid !== undefined && options.mode === "normal")
      return { result: { drvPath, status: "already-valid", outputs: valid }, lastLogLines: [] };

    if (store.doubtedPaths > 0) await store.whenBelieved(findInputClosure(context, subject, buildable.derivation).all);
    const build = prepareBuild(context, subject, buildable, options);
    const firsts = new Map(Object.entries(valid ?? {}));
    return await runBuild(context, { subject, drvPath, build, firsts }, options);
  } catch (error) {
    if (!(error instanceof CloisterError)) throw error;
    const status = error.code === "BUILD_CANCELLED" ? "cancelled" : "failed";
    return { result: { drvPath, status, outputs: {}, error: error.toData() }, lastLogLines: [] };
  }
}

/** One build that is about to run. */
interface Run {
  readonly subject: Subject;
  /** The derivation that was asked for; `build` is of what it was resolved to. */
  readonly drvPath: StorePath;
  readonly build: PreparedBuild;
  /** For a check: the outputs that are there, by id. */
  readonly firsts: ReadonlyMap<string, StorePath>;
}

async function runBuild(context: BuildContext, run: Run, options: BuildDerivationOptions): Promise<BuildOutcome> {
  const { store, launcher, settings } = context;
  const { drvPath, build } = run;
  const { name } = build.derivation;
  const recordId = makeRecordId();
  const subject = { ...run.subject, recordId };
  const startedAt = performance.now();
  const start: RecordStart = {
    id: recordId,
    drvPath,
    build,
    ...(options.caller && { user: options.caller }),
    startedAtMs: Date.now(),
    strength: launcher.strength,
  };
  const log = new BuildLog(store, recordId);
  const onLog = (bytes: Uint8Array) => {
    log.write(bytes);
    crashPoint("build:logged");
    options.onEvent({ kind: "build-log", drvPath, name, bytes });
  };
  let running: BuildRecord | undefined;
  const runningRecord = () => {
    running ??= makeRecord(start);
    return running;
  };
  const recordOf = (status: BuildRecord["status"], end: Omit<RecordEnd, "answer" | "logFile"> = {}) =>
    endRecord(runningRecord(), status, { ...end, answer, logFile: log.file });
  const resultOf = (result: Pick<BuildResult, "status" | "outputs" | "error" | "kept">): BuildResult => ({
    ...{ drvPath, recordId, wallMs: performance.now() - startedAt },
    ...(options.seccompLog && answer && { refusedCalls: refusedCallsOf(answer) }),
    ...result,
  });
  options.onEvent({ kind: "build-started", drvPath, name, recordId });

  using locks = options.mode === "normal" ? lockPlainOutputs(context, build, options) : undefined;
  // With the locks, the record is written at once (below). Of the others only one that lasts can be asked about while it
  // runs, or be cut off: the rest save themselves this write.
  let unrecorded: unknown;
  const noteRunning = () => {
    unrecorded = tryInsert(store, runningRecord());
  };
  const stillRunning = locks === undefined ? setTimeout(noteRunning, recordAfterMs) : undefined;
  const leftovers: Leftovers = { staged: new Set(), view: undefined, inStore: [] };
  let answer: BuildAnswer | undefined;
  let compared: BuildOutcome["compared"];
  try {
    const order = { ...build.order, moveOutputs: locks !== undefined };
    const answering = launcher.build(order, {
      name: recordId,
      onLog,
      isChecked: true,
      ...(options.signal && { signal: options.signal }),
    });
    // While the launcher works, for the outputs are registered before the record is written again.
    if (locks !== undefined) unrecorded = tryInsert(store, withPlannedOutputs(runningRecord(), build));
    crashPoint("build:ordered");
    answer = await answering;
    log.close(); // whole before the outputs are registered: a record that is done never has a log that was cut
    crashPoint("build:answered");
    context.tallies?.noteAnswer(answer);
    clearTimeout(stillRunning);
    options.onResources?.(answer.resources);
    noteLeftovers(leftovers, answer);
    if (unrecorded !== undefined) throw unrecorded;
    const limits = { ...build.order.spec.limits, unenforced: answer.unenforced };
    const failure = endingError(subject, text(build.order.spec.builder), answer.ending, limits, build.networkMissing);
    if (failure !== undefined) throw failure;
    options.onJailFree?.();

    const settleContext: SettleContext = { ...context, subject, staged: leftovers.staged };
    const outputs = await settleOutputs(settleContext, build, answer);
    checkReferences(settleContext, build, outputs);
    crashPoint("build:settled");
    if (options.mode === "check") {
      compared = compareOutputs(store, run.firsts, outputs);
      const { spec } = build.order;
      if (!options.isProbe) await checkDeterminism(settleContext, { ...start, firsts: run.firsts, spec }, outputs);
      store.records.insert(recordOf("done", options.isProbe ? {} : { outputs }));
    } else {
      if (!answer.isMoved) options.hold(outputs.map(({ info }) => info.path)); // else they are since they were locked
      await commit(context, run, { record: recordOf("done"), outputs, leftovers, inPlace: answer.isMoved });
    }
    if (hasLeft(leftovers)) await discard(context, leftovers);
    const made = resultOf({ status: "built", outputs: pathsOf(outputs) });
    if (answer.workspace !== "") await dropDirectory(context, answer);
    return { result: made, lastLogLines: [], ...(compared && { compared }) };
  } catch (error) {
    clearTimeout(stillRunning);
    if (hasLeft(leftovers)) await discard(context, leftovers);
    if (!(error instanceof CloisterError)) throw error;
    const status = error.code === "BUILD_CANCELLED" ? "cancelled" : "failed";
    if (answer !== undefined && status === "cancelled") await dropDirectory(context, answer);
    const kept = status === "failed" ? await keepDirectory(context, recordId, answer) : undefined;
    store.records.update(recordOf(status, { error: error.toData(), kept }));
    const result = resultOf({ status, outputs: {}, error: error.toData(), ...(kept && { kept }) });
    return { result, lastLogLines: log.lastLines(settings.lastLogLines), ...(compared && { compared }) };
  } finally {
    log.close();
  }
}

const recordAfterMs = 200;

/** What went wrong is told when the build has ended: until then it must be waited for in any case. */
function tryInsert(store: BuildContext["store"], record: BuildRecord): unknown {
  try {
    store.records.insert(record);
    return undefined;
  } catch (error) {
    return error;
  }
}

/** What a build has in the launcher's staging: the names, and the view that they were made in, while it is not given back. */
interface Leftovers {
  readonly staged: Set<string>;
  view: string | undefined;
  /** Moved there, and not registered. */
  inStore: readonly string[];
}

function noteLeftovers(leftovers: Leftovers, answer: BuildAnswer): void {
  if (answer.isMoved) {
    leftovers.inStore = answer.outputs.map(({ name }) => name);
    return;
  }
  leftovers.view = answer.view;
  for (const output of answer.outputs) if (output.kind === "sealed") leftovers.staged.add(output.stagingName);
}

/**
 * Locks the outputs of a build about which nothing is left to be decided once they are sealed, so that the launcher can
 * move them into the store in the same order. Undefined where something is, or where another build is at the same paths:
 * then they wait in staging for the commit.
 */
function lockPlainOutputs(
  { store }: BuildContext,
  build: PreparedBuild,
  options: BuildDerivationOptions,
): Disposable | undefined {
  const paths: StorePath[] = [];
  for (const { output, scratchPath, finalPath } of build.outputs) {
    if (output.kind !== "input-addressed" || finalPath !== scratchPath || store.graph.has(finalPath)) return undefined;
    paths.push(finalPath);
  }
  if (!areUnchecked(build)) return undefined;
  options.hold(paths); // a path in the store that is neither valid nor held is the collector's
  return store.locks.tryAcquire(paths);
}

interface Made {
  readonly record: BuildRecord;
  readonly outputs: readonly SettledOutput[];
  readonly leftovers: Leftovers;
  readonly inPlace: boolean;
}

/** The one call after which the outputs are valid. */
async function commit({ store }: BuildContext, { drvPath, build }: Run, made: Made): Promise<void> {
  const { record, outputs, leftovers, inPlace } = made;
  const releaseViews = leftovers.view === undefined ? [] : [leftovers.view];
  leftovers.inStore = [];
  leftovers.view = undefined; // it is the commit's from here on, whether it succeeds or not, and so is what it moves
  for (const { stagingName } of outputs) leftovers.staged.delete(stagingName);
  await commitOutputs(store, {
    record,
    outputs: outputs.map(({ id, info, stagingName }) => ({ info, stagingName, outputId: id, drvPath: build.drvPath })),
    releaseViews,
    inPlace,
  });
  if (build.drvPath !== drvPath) await noteOutputs(store, drvPath, pathsOf(outputs));
}

function hasLeft({ staged, view, inStore }: Leftovers): boolean {
  return staged.size > 0 || view !== undefined || inStore.length > 0;
}

/** Removes what a build has left, such as an output before it was rewritten, and gives its view back. */
async function discard({ launcher }: BuildContext, { staged, view, inStore }: Leftovers): Promise<void> {
  try {
    if (inStore.length > 0) await launcher.remove(inStore);
    if (staged.size === 0 && view === undefined) return;
    await launcher.discard([...staged], view === undefined ? [] : [view]);
  } catch (error) {
    if (!(error instanceof CloisterError)) throw error; // else the launcher is gone, and the next one sweeps at its start
  }
}

function pathsOf(outputs: readonly SettledOutput[]): Record<string, StorePath> {
  return Object.fromEntries(outputs.map(({ id, info }) => [id, info.path]));
}
