/** `cloister why-depends`: the shortest chain from one path to another, and the very place of each reference. */
import type { Command } from "commander";
import { printStorePath, type StorePath } from "../../../derivations/store-path.ts";
import type { Service } from "../../api/service.ts";
import { fetchClosure } from "../../closures/closure-graph.ts";
import { type FoundReferences, findReferences } from "../../closures/find-references.ts";
import type { Context } from "../context.ts";
import type { Action } from "../main.ts";
import { parseStorePlace } from "../store-path-argument.ts";
import { cleanText } from "../terminal.ts";
import { count } from "../units.ts";

/** How many places of a reference are shown; --all shows this many. */
const fewPlaces = 1;
const allPlaces = 1000;

interface Step extends FoundReferences {
  readonly from: StorePath;
  readonly to: StorePath;
}

export function addWhyDependsCommand(program: Command, run: Action): void {
  program
    .command("why-depends")
    .description("show what makes one path depend on another")
    .argument("<path>", "a store path, a result link, or a base name")
    .argument("<dependency>", "what it depends on")
    .option("-a, --all", "show every place where a reference stands, not only the first")
    .addHelpText("after", "\nExample:\n  $ cloister why-depends ./result /cloister/store/…-glibc-2.40")
    .action((text: string, dependency: string, options: { all?: boolean }, command: Command) =>
      run(command, async (context) => {
        const service = await context.connect();
        const status = await service.status({ signal: context.signal });
        const { path: from } = parseStorePlace(text, context.cwd, status);
        const { path: to } = parseStorePlace(dependency, context.cwd, status);
        const graph = await fetchClosure(service, [from], { signal: context.signal });
        const full = (path: StorePath): string => printStorePath(status.storeDirectory, path);
        const chain = graph.nodes.has(to) ? graph.shortestChain(from, to) : undefined;
        const steps =
          chain === undefined ? [] : await findSteps(service, context, chain, options.all ? allPlaces : fewPlaces);
        if (context.json)
          context.printJson({
            depends: chain !== undefined,
            chain: (chain ?? []).map(full),
            steps: steps.map((step) => ({
              from: full(step.from),
              to: full(step.to),
              count: step.count,
              places: step.places.map(({ file, kind, offset }) => ({ file, kind, offset })),
            })),
          });
        else if (chain === undefined) context.print(`${full(from)} does not depend on ${full(to)}`);
        else show(context, full, from, steps);
        return chain === undefined ? 1 : 0;
      }),
    );
}

async function findSteps(
  service: Service,
  context: Context,
  chain: readonly StorePath[],
  most: number,
): Promise<readonly Step[]> {
  const steps: Step[] = [];
  let from: StorePath | undefined;
  for (const to of chain) {
    if (from !== undefined) {
      const archive = service.readNar(from, { signal: context.signal });
      steps.push({ from, to, ...(await findReferences(archive, to, most)) });
    }
    from = to;
  }
  return steps;
}

function show(context: Context, full: (path: StorePath) => string, from: StorePath, steps: readonly Step[]): void {
  const bold = (text: string) => context.paintOut.bold(text);
  const dim = (text: string) => context.paintOut.dim(text);
  context.print(bold(full(from)));
  for (const { to, places, count: placeCount } of steps) {
    for (const { file, kind, offset, around } of places) {
      const what = kind === "link" ? "a link's target" : `byte ${offset}`;
      context.print(`  ${cleanText(file === "" ? "itself" : file)}, ${what}: ${dim(`…${cleanText(around)}…`)}`);
    }
    if (placeCount > places.length)
      context.print(dim(`  and ${count(placeCount - places.length, "more place")} (--all)`));
    // Built in a world: that one is registered as a reference, though no file need name it.
    if (placeCount === 0)
      context.print("  in no file: it is the world that it was built in, or was stated when it was added");
    context.print(`→ ${bold(full(to))}`);
  }
}
