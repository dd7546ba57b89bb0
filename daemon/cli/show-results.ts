/** What a build ended with: what failed and why, where the outputs are, and the links to them. */
import type { BuildResult } from "../../derivations/build-result.ts";
import type { StorePath } from "../../derivations/store-path.ts";
import type { Service, Status } from "../api/service.ts";
import { type BuildProgress, exitStatusOf } from "./build-progress.ts";
import type { Context } from "./context.ts";
import { buildJson } from "./json-output.ts";
import { fetchKeptBuilds, type KeptBuild } from "./kept-build.ts";
import { makeOutLink, outLinkName } from "./out-link.ts";
import type { ExitStatus } from "./run-command.ts";
import { realPathOf } from "./store-path-argument.ts";
import { printVerdict } from "./verdict.ts";

export interface EndedBuild {
  readonly service: Service;
  readonly status: Status;
  readonly progress: BuildProgress;
  readonly results: readonly BuildResult[];
  /** What failed builds left; to be fetched. */
  readonly kept?: readonly KeptBuild[];
  /** Where to link the results; absent: nowhere. */
  readonly outLink?: string;
}

export async function showResults(context: Context, ended: EndedBuild): Promise<ExitStatus> {
  const { status, progress, results, outLink } = ended;
  progress[Symbol.dispose]();
  progress.showRefusedCalls();
  progress.showFailures();
  const directories = await fetchKeptBuilds(context, ended.service, ended.kept ?? []);
  for (const { verdict } of results) if (verdict !== undefined) context.say(printVerdict(verdict, context.paint));
  if (!context.json)
    for (const result of results) for (const [, path] of outputsOf(result)) context.print(realPathOf(path, status));
  if (exitStatusOf(results) === 0 && outLink !== undefined) await link(context, ended, outLink);
  if (context.json) context.printJson(buildJson(results, status, directories));
  return exitStatusOf(results);
}

async function link(context: Context, { service, status, results }: EndedBuild, base: string): Promise<void> {
  for (const [index, result] of results.entries())
    for (const [outputId, path] of outputsOf(result)) {
      const output = { outputId, path, realPath: realPathOf(path, status) };
      const linked = await makeOutLink(service, context.cwd, outLinkName(base, index, outputId), output);
      context.say(`${context.paint.dim("linked:")} ${linked}`);
    }
}

/** `out` first, as people think of it. */
function outputsOf(result: BuildResult): readonly [string, StorePath][] {
  return Object.entries(result.outputs).sort(([left], [right]) => Number(right === "out") - Number(left === "out"));
}
