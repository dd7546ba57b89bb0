/** Two closures, package by package: which came, which went, which have another version or another size. */
import { nameOf } from "../../derivations/store-path.ts";
import type { ClosureGraph, ClosureNode } from "./closure-graph.ts";

export interface PackageDifference {
  /** Without its version. */
  readonly name: string;
  readonly change: "added" | "removed" | "changed";
  /** "" where the name has none. */
  readonly versionsBefore: readonly string[];
  readonly versionsAfter: readonly string[];
  readonly bytesBefore: number;
  readonly bytesAfter: number;
}

/** The largest change of size first. Packages whose paths are the same in both are left out. */
export function compareClosures(before: ClosureGraph, after: ClosureGraph): readonly PackageDifference[] {
  const [old, new_] = [byPackage(before), byPackage(after)];
  const found: PackageDifference[] = [];
  for (const name of new Set([...old.keys(), ...new_.keys()])) {
    const [left = [], right = []] = [old.get(name), new_.get(name)];
    const paths = (nodes: readonly ClosureNode[]) => nodes.map(({ path }) => path).join();
    if (paths(left) === paths(right)) continue;
    found.push({
      name,
      change: left.length === 0 ? "added" : right.length === 0 ? "removed" : "changed",
      versionsBefore: versionsOf(left),
      versionsAfter: versionsOf(right),
      bytesBefore: bytesOf(left),
      bytesAfter: bytesOf(right),
    });
  }
  const weight = ({ bytesBefore, bytesAfter }: PackageDifference) => Math.abs(bytesAfter - bytesBefore);
  return found.sort((left, right) => weight(right) - weight(left) || (left.name < right.name ? -1 : 1));
}

/** A version begins after the first dash that no letter follows. Source: Nix manual, "parseDrvName". */
export function splitName(name: string): { readonly name: string; readonly version: string } {
  const [, package_ = name, version = ""] = /^(.*?)-([^a-zA-Z].*)$/s.exec(name) ?? [];
  return { name: package_, version };
}

function byPackage(graph: ClosureGraph): ReadonlyMap<string, readonly ClosureNode[]> {
  const found = new Map<string, ClosureNode[]>();
  for (const path of [...graph.nodes.keys()].sort()) {
    const { name } = splitName(nameOf(path));
    const nodes = found.get(name) ?? [];
    nodes.push(graph.node(path));
    found.set(name, nodes);
  }
  return found;
}

function versionsOf(nodes: readonly ClosureNode[]): readonly string[] {
  return [...new Set(nodes.map(({ path }) => splitName(nameOf(path)).version))].sort();
}

function bytesOf(nodes: readonly ClosureNode[]): number {
  return nodes.reduce((sum, { ownBytes }) => sum + ownBytes, 0);
}
