/**
 * The hash that identifies a derivation whatever the derivations are that its fixed outputs came from, the output paths
 * that follow from it, and the check of both. Source: Nix manual, "Derivation hash modulo"; Nix libstore/derivations.cc.
 */
import { printDerivationWith } from "./aterm.ts";
import { bytes, bytesEqual, text } from "./bytes.ts";
import { makeFixedOutputPath, makeOutputPath, outputPathName, printMethod } from "./content-address.ts";
import type { Derivation } from "./derivation.ts";
import { DerivationError } from "./errors.ts";
import { printDigest, type Sha256, sha256 } from "./hash.ts";
import { findOutputPath, type Output } from "./output.ts";
import { makePlaceholder } from "./placeholder.ts";
import { printStorePath, type StoreDirectory, type StorePath } from "./store-path.ts";

/** What stands for a derivation in the hashes of those that use it. */
export interface DerivationModulo {
  readonly hash: Sha256;
  /** True if it has floating outputs or depends on such: paths computed from this hash would not be final. */
  readonly isDeferred: boolean;
  readonly outputIds: readonly string[];
}

export type HashOfInput = (path: StorePath) => DerivationModulo;

/**
 * Masked, the output paths and their variables count as "": the form from which the output paths themselves are made.
 * Throws DERIVATION_INVALID if the derivation uses an output that its input has not.
 */
export function hashDerivationModulo(
  directory: StoreDirectory,
  derivation: Derivation,
  hashOfInput: HashOfInput,
  options: { readonly maskOutputs: boolean } = { maskOutputs: false },
): DerivationModulo {
  const outputIds = [...derivation.outputs.keys()];
  const fixed = derivation.outputs.get("out");
  if (fixed?.kind === "fixed") {
    const path = printStorePath(directory, fixedPath(directory, derivation.name, fixed));
    const algorithm = `${printMethod(fixed.method)}${fixed.hash.algorithm}`;
    const hash = sha256(`fixed:out:${algorithm}:${printDigest(fixed.hash, "base16")}:${path}`);
    return { hash, isDeferred: false, outputIds };
  }

  let isDeferred = [...derivation.outputs.values()].some((output) => output.kind === "floating");
  const inputs = new Map<string, Set<string>>(); // different inputs may have the same hash: their ids are joined
  for (const [path, ids] of derivation.inputDerivations) {
    const input = hashOfInput(path);
    isDeferred ||= input.isDeferred;
    const digest = printDigest(input.hash, "base16");
    const joined = inputs.get(digest) ?? new Set();
    inputs.set(digest, joined);
    for (const id of ids) {
      if (!input.outputIds.includes(id))
        throw new DerivationError("DERIVATION_INVALID", {
          name: derivation.name,
          reason: `it uses the output ${id} of ${path}, which has only ${input.outputIds.join(", ")}`,
        });
      joined.add(id);
    }
  }
  return { hash: sha256(printDerivationWith(directory, derivation, inputs, options)), isDeferred, outputIds };
}

/**
 * The hash of `root` and of all that it depends on, each once, kept in `memo`. Works off a stack of its own: a chain of
 * any length does no harm. Throws DERIVATION_CYCLE, DERIVATION_INVALID, and what `getDerivation` throws.
 */
export function hashDerivations(
  directory: StoreDirectory,
  root: StorePath,
  getDerivation: (path: StorePath) => Derivation,
  memo: Map<StorePath, DerivationModulo>,
): DerivationModulo {
  const hashOfInput = makeHashOfInput(memo);
  const open = new Set<StorePath>();
  const stack = [{ path: root, derivation: undefined as Derivation | undefined }];
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    const { path } = top;
    if (top.derivation !== undefined) {
      memo.set(path, hashDerivationModulo(directory, top.derivation, hashOfInput));
      open.delete(path);
      stack.pop();
      continue;
    }
    if (memo.has(path)) {
      stack.pop();
      continue;
    }
    if (open.has(path)) throw new DerivationError("DERIVATION_CYCLE", { drvPath: printStorePath(directory, path) });
    open.add(path);
    top.derivation = getDerivation(path);
    if (top.derivation.outputs.get("out")?.kind === "fixed") continue; // its inputs do not count
    for (const input of top.derivation.inputDerivations.keys())
      if (!memo.has(input)) stack.push({ path: input, derivation: undefined });
  }
  return hashOfInput(root);
}

/** A look-up in what `hashDerivations` filled. */
export function makeHashOfInput(memo: ReadonlyMap<StorePath, DerivationModulo>): HashOfInput {
  return (path) => {
    const hash = memo.get(path);
    if (hash === undefined) throw new Error(`the input ${path} was not hashed before it was asked for`);
    return hash;
  };
}

/**
 * The derivation with its output paths, and in its environment a variable for each output id: the path, or for a
 * floating output its placeholder, or "" for a deferred one. A deferred output whose path can be known becomes
 * input-addressed. Throws as `hashDerivationModulo`.
 */
export function fillOutputs(directory: StoreDirectory, derivation: Derivation, hashOfInput: HashOfInput): Derivation {
  const environment = new Map(derivation.environment);
  for (const id of derivation.outputs.keys()) environment.set(id, bytes("")); // the masked form has them too
  const outputs = expectedOutputs(directory, { ...derivation, environment }, hashOfInput);
  for (const [id, output] of outputs) environment.set(id, bytes(variableOf(directory, derivation.name, id, output)));
  return { ...derivation, outputs, environment };
}

/**
 * Refuses a derivation whose outputs, or their environment variables, are not what follows from the rest of it.
 * Throws DERIVATION_OUTPUT_MISMATCH, and as `hashDerivationModulo`.
 */
export function checkOutputs(directory: StoreDirectory, derivation: Derivation, hashOfInput: HashOfInput): void {
  const { name } = derivation;
  for (const [outputId, output] of expectedOutputs(directory, derivation, hashOfInput)) {
    const path = findOutputPath(directory, name, outputId, output);
    if (path === undefined) continue; // a client may put what it likes in place of a path that is not known

    const expected = printStorePath(directory, path);
    const refuse = (where: "path" | "environment", found: string) =>
      new DerivationError("DERIVATION_OUTPUT_MISMATCH", { name, outputId, where, expected, found });
    const stated = derivation.outputs.get(outputId);
    const statedPath = stated && findOutputPath(directory, name, outputId, stated);
    if (statedPath !== path) throw refuse("path", statedPath ? printStorePath(directory, statedPath) : "");
    const variable = derivation.environment.get(outputId);
    if (variable === undefined || !bytesEqual(variable, bytes(expected)))
      throw refuse("environment", variable === undefined ? "" : text(variable));
  }
}

function expectedOutputs(
  directory: StoreDirectory,
  derivation: Derivation,
  hashOfInput: HashOfInput,
): ReadonlyMap<string, Output> {
  let modulo: DerivationModulo | undefined;
  const getModulo = () => {
    modulo ??= hashDerivationModulo(directory, derivation, hashOfInput, { maskOutputs: true });
    return modulo;
  };
  const outputs = new Map<string, Output>();
  for (const [id, output] of derivation.outputs) {
    switch (output.kind) {
      case "fixed":
        outputs.set(id, { ...output, path: fixedPath(directory, derivation.name, output) });
        break;
      case "floating":
        outputs.set(id, output);
        break;
      case "input-addressed":
      case "deferred": {
        const { hash, isDeferred } = getModulo();
        outputs.set(
          id,
          isDeferred
            ? { kind: "deferred" }
            : { kind: "input-addressed", path: makeOutputPath(directory, derivation.name, id, hash) },
        );
        break;
      }
      default:
        output satisfies never;
    }
  }
  return outputs;
}

function fixedPath(directory: StoreDirectory, name: string, output: Output & { kind: "fixed" }): StorePath {
  return makeFixedOutputPath(directory, outputPathName(name, "out"), output);
}

function variableOf(directory: StoreDirectory, name: string, id: string, output: Output): string {
  if (output.kind === "floating") return makePlaceholder(id);
  const path = findOutputPath(directory, name, id, output);
  return path === undefined ? "" : printStorePath(directory, path);
}
