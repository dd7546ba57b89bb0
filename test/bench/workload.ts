/** The same work for every subject: a static busybox as the builder, text objects as inputs, one new derivation a build. */
import { copyFileSync, existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { printDerivation } from "../../derivations/aterm.ts";
import type { Derivation } from "../../derivations/derivation.ts";
import {
  type DerivationModulo,
  fillOutputs,
  hashDerivationModulo,
  makeHashOfInput,
} from "../../derivations/derivation-hash.ts";
import { parseFullStorePath, type StorePath } from "../../derivations/store-path.ts";
import { dumpTree } from "../../sandbox-native/read-tree.ts";
import { collect } from "../support/collect.ts";
import type { Subject } from "./subjects.ts";

export const busybox = ["/bin/busybox", "/usr/bin/busybox"].find(existsSync);

/** A number that no earlier run used, so that nothing is ever there already. */
let serial = Date.now() % 1_000_000_000;

export interface Prepared {
  readonly subject: Subject;
  readonly builder: string;
  /** Text objects to take inputs from. */
  readonly inputs: readonly string[];
  /** Of the derivations made so far, for those that depend on them. */
  readonly hashes: Map<StorePath, DerivationModulo>;
}

/** The archive of a directory with bin/busybox in it, made once and sent to each subject. */
export async function dumpBusybox(temporary: string): Promise<readonly Uint8Array[]> {
  if (busybox === undefined) throw new Error("the benchmark needs a static busybox: apt-get install busybox-static");
  const tree = join(temporary, "busybox");
  mkdirSync(join(tree, "bin"), { recursive: true });
  copyFileSync(busybox, join(tree, "bin/busybox"));
  return collect(dumpTree(tree));
}

export async function prepare(subject: Subject, archive: readonly Uint8Array[], inputCount: number): Promise<Prepared> {
  const store = await subject.addSource("busybox", archive);
  const inputs: string[] = [];
  for (let index = 0; index < inputCount; index += 1)
    inputs.push(await subject.addText(`input-${index}`, Buffer.from(`input ${index}\n`), []));
  return { subject, builder: store, inputs, hashes: new Map() };
}

export interface TrivialBuild {
  /** Full path of the .drv, which has been added. */
  readonly drvPath: string;
}

/**
 * Adds a derivation whose builder is `busybox sh -c 'echo hi > $out'`. Its inputs are a window of the prepared ones, so
 * that closures are distinct and overlap by nine tenths from one build to the next.
 */
export async function addTrivialBuild(
  prepared: Prepared,
  inputCount: number,
  after?: TrivialBuild,
): Promise<TrivialBuild> {
  const text = makeTrivialDerivation(prepared, inputCount, after);
  const drvPath = await prepared.subject.addText(text.name, text.drv, text.references);
  const { hash, isDeferred, outputIds } = hashDerivationModulo(
    prepared.subject.storeDirectory,
    text.derivation,
    makeHashOfInput(prepared.hashes),
  );
  prepared.hashes.set(parseFullStorePath(prepared.subject.storeDirectory, drvPath), { hash, isDeferred, outputIds });
  return { drvPath };
}

interface DerivationText {
  readonly name: string;
  readonly drv: Uint8Array;
  readonly references: readonly string[];
  readonly derivation: Derivation;
}

export function makeTrivialDerivation(prepared: Prepared, inputCount: number, after?: TrivialBuild): DerivationText {
  serial += 1;
  const { subject, builder, inputs } = prepared;
  const directory = subject.storeDirectory;
  const parse = (path: string): StorePath => parseFullStorePath(directory, path);
  const bytes = (value: string): Uint8Array => Buffer.from(value, "utf8");
  const start = serial % Math.max(1, inputs.length - inputCount + 1);
  const sources = [builder, ...inputs.slice(start, start + inputCount)].sort();
  const name = `trivial-${serial}`;
  const derivation = fillOutputs(
    directory,
    {
      name,
      outputs: new Map([["out", { kind: "deferred" }]]),
      inputDerivations: new Map(after === undefined ? [] : [[parse(after.drvPath), new Set(["out"])]]),
      inputSources: new Set(sources.map(parse)),
      system: "x86_64-linux",
      builder: bytes(`${builder}/bin/busybox`),
      args: ["sh", "-c", "echo hi > $out"].map(bytes),
      environment: new Map([
        ["builder", bytes(`${builder}/bin/busybox`)],
        ["name", bytes(name)],
        ["out", bytes("")],
        ["system", bytes("x86_64-linux")],
      ]),
    },
    makeHashOfInput(prepared.hashes),
  );
  const references = [...(after === undefined ? [] : [after.drvPath]), ...sources].sort();
  return { name: `${name}.drv`, drv: printDerivation(directory, derivation), references, derivation };
}
