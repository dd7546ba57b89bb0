/** All that a derivation needs to be made, found by walking its description: other derivations, sources, worlds, store paths. */
import { basename } from "node:path";
import {
  type DerivationAttributes,
  type DerivationDescription,
  type HostWorld,
  printWhere,
  type Reference,
  type Source,
  type World,
} from "./description.ts";
import { checkDescription } from "./description-schema.ts";
import { DefinitionError } from "./errors.ts";

export interface Needs {
  /** Inputs before those that use them; the root is last. */
  readonly derivations: readonly {
    readonly description: DerivationDescription;
    readonly attributes: DerivationAttributes;
  }[];
  readonly sources: ReadonlyMap<string, { readonly source: Source; readonly where: string }>;
  readonly worlds: ReadonlyMap<string, HostWorld>;
  /** Where each is used, by full path. */
  readonly storePaths: ReadonlyMap<string, string>;
}

/** Walks the descriptions with a stack of its own: a long chain does no harm. Throws DEFINITION_INVALID, DEFINITION_CYCLE. */
export function collectNeeds(root: DerivationDescription): Needs {
  const derivations: { description: DerivationDescription; attributes: DerivationAttributes }[] = [];
  const sources = new Map<string, { source: Source; where: string }>();
  const worlds = new Map<string, HostWorld>();
  const storePaths = new Map<string, string>();
  const state = new Map<DerivationDescription, "open" | "done">();
  const stack: { description: DerivationDescription; attributes?: DerivationAttributes }[] = [{ description: root }];
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    const { description } = top;
    if (top.attributes !== undefined) {
      derivations.push({ description, attributes: top.attributes });
      state.set(description, "done");
      stack.pop();
      continue;
    }
    if (state.get(description) === "done") {
      stack.pop();
      continue;
    }
    if (state.get(description) === "open") throw cycleOf(stack, description);
    state.set(description, "open");
    top.attributes = checkDescription(description);
    const where = printWhere(description);
    for (const reference of referencesIn(top.attributes)) {
      if (reference.kind === "source") sources.set(keyOfSource(reference), { source: reference, where });
      else if (reference.kind === "host-world") worlds.set(keyOfWorld(reference), reference);
      else if (reference.kind === "store-path") storePaths.set(reference.path, where);
      else stack.push({ description: reference.kind === "output" ? reference.derivation : reference });
    }
  }
  return { derivations, sources, worlds, storePaths };
}

type Leaf = Exclude<Reference | World, "none" | { kind: "file" }>;

function referencesIn(attributes: DerivationAttributes): Leaf[] {
  const leaves: Leaf[] = [];
  const add = (value: unknown): void => {
    if (Array.isArray(value)) for (const each of value) add(each);
    if (Array.isArray(value) || typeof value !== "object" || value === null) return;
    const reference = value as Exclude<Reference | World, "none">; // checked before
    if (reference.kind === "file") add(reference.of);
    else leaves.push(reference);
  };
  add(attributes.world);
  Object.values(attributes.inputs ?? {}).forEach(add);
  Object.values(attributes.env ?? {}).forEach(add);
  add(attributes.builder);
  add(attributes.args);
  return leaves;
}

function cycleOf(
  stack: readonly { readonly description: DerivationDescription; readonly attributes?: DerivationAttributes }[],
  again: DerivationDescription,
) {
  const open = stack.filter((each) => each.attributes !== undefined).map(({ description }) => description);
  const names = [...open.slice(open.indexOf(again)), again].map(printWhere);
  return new DefinitionError("DEFINITION_CYCLE", { names });
}

/** The name in the store path: its own, or the file's. */
export function nameOfSource(source: Source): string {
  return source.name ?? basename(source.path);
}

export function keyOfSource(source: Source): string {
  return `${source.path}\0${nameOfSource(source)}\0${JSON.stringify(source.exclude ?? [])}`;
}

export function keyOfWorld(world: HostWorld): string {
  return JSON.stringify([...new Set(world.programs)].sort());
}
