/** The .drv files of the store: read, and checked before they are let in. The last ones used are kept in memory. */
import { readFileSync } from "node:fs";
import { parseDerivation } from "../derivations/aterm.ts";
import { type Derivation, outputPathOf, referencesOf } from "../derivations/derivation.ts";
import {
  checkOutputs,
  type DerivationModulo,
  hashDerivations,
  makeHashOfInput,
} from "../derivations/derivation-hash.ts";
import { isDerivationPath, nameOf, type StoreDirectory, type StorePath } from "../derivations/store-path.ts";
import { reasonOf, StoreError } from "./errors.ts";
import type { ReferenceGraph } from "./reference-graph.ts";
import type { DerivationOutputRow } from "./valid-paths.ts";

const keptDerivations = 512;
const keptHashes = 50_000;

export class DerivationFiles {
  readonly #directory: StoreDirectory;
  readonly #graph: ReferenceGraph;
  readonly #realPath: (path: StorePath) => string;
  readonly #recent = new Map<StorePath, Derivation>();
  /** What a path hashes to is fixed by the path, so this never goes stale. */
  readonly #hashes = new Map<StorePath, DerivationModulo>();

  constructor(directory: StoreDirectory, graph: ReferenceGraph, realPath: (path: StorePath) => string) {
    this.#directory = directory;
    this.#graph = graph;
    this.#realPath = realPath;
  }

  /** Throws STORE_PATH_NOT_VALID, STORE_PATH_DAMAGED, and what `parseDerivation` throws. */
  get(drvPath: StorePath): Derivation {
    if (!this.#graph.has(drvPath) || !isDerivationPath(drvPath))
      throw new StoreError("STORE_PATH_NOT_VALID", { path: drvPath });
    const recent = this.#recent.get(drvPath);
    if (recent !== undefined) return recent;
    const derivation = parseDerivation(this.#directory, derivationNameOf(drvPath), this.#read(drvPath));
    this.#remember(drvPath, derivation);
    return derivation;
  }

  /**
   * Checks a .drv that is to be added, whose references are valid, and returns its outputs as far as they are known.
   * Throws STORE_DERIVATION_REFERENCES, DERIVATION_OUTPUT_MISMATCH, and what parsing and reading its inputs throw.
   */
  check(drvPath: StorePath, contents: Uint8Array, references: readonly StorePath[]): DerivationOutputRow[] {
    const derivation = parseDerivation(this.#directory, derivationNameOf(drvPath), contents);
    const inputs = new Set(referencesOf(derivation));
    const given = new Set(references);
    const missing = [...inputs].filter((path) => !given.has(path));
    const surplus = [...given].filter((path) => !inputs.has(path));
    if (missing.length > 0 || surplus.length > 0)
      throw new StoreError("STORE_DERIVATION_REFERENCES", { path: drvPath, missing, surplus });

    this.#hashInputs(derivation);
    checkOutputs(this.#directory, derivation, makeHashOfInput(this.#hashes));
    this.#remember(drvPath, derivation);
    const rows: DerivationOutputRow[] = [];
    for (const outputId of derivation.outputs.keys()) {
      const path = outputPathOf(this.#directory, derivation, outputId);
      if (path !== undefined) rows.push({ drvPath, outputId, path });
    }
    return rows;
  }

  /** Afterwards `#hashes` has what `checkOutputs` asks for. */
  #hashInputs(derivation: Derivation): void {
    if (this.#hashes.size > keptHashes) this.#hashes.clear();
    for (const input of derivation.inputDerivations.keys())
      hashDerivations(this.#directory, input, (path) => this.get(path), this.#hashes);
  }

  #read(drvPath: StorePath): Uint8Array {
    try {
      return readFileSync(this.#realPath(drvPath));
    } catch (error) {
      throw new StoreError("STORE_PATH_DAMAGED", { path: drvPath, reason: reasonOf(error) }, { cause: error });
    }
  }

  #remember(drvPath: StorePath, derivation: Derivation): void {
    this.#recent.delete(drvPath); // to the end of the order
    this.#recent.set(drvPath, derivation);
    if (this.#recent.size <= keptDerivations) return;
    for (const oldest of this.#recent.keys()) return void this.#recent.delete(oldest);
  }
}

function derivationNameOf(drvPath: StorePath): string {
  return nameOf(drvPath).slice(0, -".drv".length);
}
