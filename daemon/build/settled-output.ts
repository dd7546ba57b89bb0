/** An output after its build: what was made, and what it is registered as. */
import { makeSha256 } from "../../derivations/hash.ts";
import type { PathInfo } from "../../derivations/path-info.ts";
import type { StorePath } from "../../derivations/store-path.ts";
import type { SealedOutput } from "../../sandbox-native/launcher.ts";
import type { BuildContext, Subject } from "./context.ts";
import type { PlannedOutput, PreparedBuild } from "./jail-for.ts";

/** An output that can be registered, under its final path. */
export interface SettledOutput {
  readonly id: string;
  readonly stagingName: string;
  readonly info: Omit<PathInfo, "registeredAtSeconds">;
  /** What its contents name; `info.references` has the world besides, where it counts. */
  readonly scanned: ReadonlySet<StorePath>;
}

export interface SettleContext extends BuildContext {
  readonly subject: Subject & { readonly recordId: string };
  /** What is in staging now: whatever comes, it is moved or discarded in the end. */
  readonly staged: Set<string>;
}

/** An output as it was planned, and as the launcher sealed it. */
export interface Made {
  readonly planned: PlannedOutput;
  readonly sealed: SealedOutput;
}

/**
 * Paths by the hash part under which contents name them: the outputs whose final paths are known, and the inputs, which
 * are found in the store's index: a build has hundreds of them, and names few.
 */
export class PathOf {
  readonly #graph: BuildContext["store"]["graph"];
  readonly #outputs = new Map<string, StorePath>();

  constructor(graph: BuildContext["store"]["graph"]) {
    this.#graph = graph;
  }

  get(hashPart: string): StorePath | undefined {
    return this.#outputs.get(hashPart) ?? this.#graph.findByHashPart(hashPart);
  }

  set(hashPart: string, path: StorePath): void {
    this.#outputs.set(hashPart, path);
  }
}

export function scannedPaths(sealed: SealedOutput, pathOf: PathOf): Set<StorePath> {
  const paths = new Set<StorePath>();
  for (const part of sealed.references) {
    const path = pathOf.get(part);
    if (path !== undefined) paths.add(path);
  }
  return paths;
}

/** What is registered: what the contents name, and the world that the output was built in, unless it can stand alone. */
export function referencesOf(
  build: PreparedBuild,
  { id }: PlannedOutput,
  scanned: ReadonlySet<StorePath>,
): ReadonlySet<StorePath> {
  const { world, attributes } = build;
  const named = attributes.discardsReferences(id) ? new Set<StorePath>() : scanned;
  return world === undefined || attributes.standalone ? named : new Set([...named, world]);
}

export function settledAs(
  build: PreparedBuild,
  planned: PlannedOutput,
  sealed: SealedOutput,
  path: StorePath,
  scanned: ReadonlySet<StorePath>,
  references: ReadonlySet<StorePath>,
  contentAddress?: PathInfo["contentAddress"],
): SettledOutput {
  return {
    id: planned.id,
    stagingName: sealed.stagingName,
    scanned,
    info: {
      path,
      narHash: makeSha256(sealed.narHash),
      narSize: sealed.narSize,
      references,
      deriver: build.drvPath,
      ultimate: true,
      signatures: [],
      ...(contentAddress === undefined ? {} : { contentAddress }),
    },
  };
}
