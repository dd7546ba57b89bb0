/** `cloister tree`: a closure as a tree, with what each part takes and what would go with it. */
import type { Command } from "commander";
import { printStorePath, type StorePath } from "../../../derivations/store-path.ts";
import { type ClosureGraph, fetchClosure } from "../../closures/closure-graph.ts";
import type { Context } from "../context.ts";
import type { Action } from "../main.ts";
import { parseStorePlace } from "../store-path-argument.ts";
import { count, parseCount, printBytes } from "../units.ts";

export function addTreeCommand(program: Command, run: Action): void {
  program
    .command("tree")
    .description("show a closure as a tree, with sizes")
    .argument("<path>", "a store path, a result link, or a base name")
    .option("-d, --depth <number>", "levels to show; 0 is all", "0")
    .addHelpText(
      "after",
      `
Sizes are, from left to right: the path's own, its closure's, and what the whole would be smaller by without it: it, and
what nothing else here refers to. What stands in the tree already is shown once more with (*), without what is below it.

Example:
  $ cloister tree ./result --depth 2`,
    )
    .action((text: string, options: { depth: string }, command: Command) =>
      run(command, async (context) => {
        const depth = parseCount("--depth", options.depth) || Number.POSITIVE_INFINITY;
        const service = await context.connect();
        const status = await service.status({ signal: context.signal });
        const { path } = parseStorePlace(text, context.cwd, status);
        const graph = await fetchClosure(service, [path], { signal: context.signal });
        const full = (one: StorePath): string => printStorePath(status.storeDirectory, one);
        if (context.json)
          context.printJson({
            root: full(path),
            bytes: graph.bytes,
            nodes: [...graph.nodes.values()].map((node) => ({
              path: full(node.path),
              references: node.references.map(full),
              ownBytes: node.ownBytes,
              closureBytes: graph.closureBytes(node.path),
              retainedBytes: graph.retainedBytes(node.path),
            })),
          });
        else showTree(context, graph, path, depth);
        return 0;
      }),
    );
}

/** A branch that is still to be shown. */
interface Branch {
  readonly path: StorePath;
  readonly level: number;
  readonly prefix: string;
  readonly isLast: boolean;
}

/** Without recursion: a chain of references may be thousands long. */
function showTree(context: Context, graph: ClosureGraph, root: StorePath, depth: number): void {
  const shown = new Set<StorePath>();
  const stack: Branch[] = [{ path: root, level: 0, prefix: "", isLast: true }];
  for (let branch = stack.pop(); branch !== undefined; branch = stack.pop()) {
    const { path, level, prefix, isLast } = branch;
    const references = graph.node(path).references;
    const isAgain = shown.has(path) && references.length > 0;
    const hasMore = references.length > 0 && level + 1 >= depth && !isAgain;
    const own = level === 0 ? "" : `${prefix}${isLast ? "└─ " : "├─ "}`;
    const mark = isAgain ? " (*)" : hasMore ? ` (${count(references.length, "reference")})` : "";
    context.print(`${sizesOf(graph, path)}  ${context.paintOut.dim(own)}${path}${context.paintOut.dim(mark)}`);
    shown.add(path);
    if (isAgain || hasMore) continue;
    const below = level === 0 ? "" : `${prefix}${isLast ? "   " : "│  "}`;
    const sorted = references.toSorted((left, right) => graph.closureBytes(left) - graph.closureBytes(right));
    for (const [index, reference] of sorted.entries())
      stack.push({ path: reference, level: level + 1, prefix: below, isLast: index === 0 });
  }
  context.say(`${count(graph.nodes.size, "path")}, ${printBytes(BigInt(graph.bytes))}`);
}

function sizesOf(graph: ClosureGraph, path: StorePath): string {
  return [graph.node(path).ownBytes, graph.closureBytes(path), graph.retainedBytes(path)]
    .map((bytes) => printBytes(BigInt(bytes)).padStart(10))
    .join(" ");
}
