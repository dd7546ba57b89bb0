/** From a derivation to the order that the launcher gets: what the jail holds, and what is to be made of what comes out. */
import { text } from "../../derivations/bytes.ts";
import { outputPathOf } from "../../derivations/derivation.ts";
import type { FloatingOutput, Output } from "../../derivations/output.ts";
import { makePlaceholder, makeScratchPath, makeScratchPathFor } from "../../derivations/placeholder.ts";
import { hashPartOf, parseFullStorePath, printStorePath, type StorePath } from "../../derivations/store-path.ts";
import { plainJail } from "../../sandbox-native/jail-spec.ts";
import type { BuildOrder } from "../../sandbox-native/launcher.ts";
import type { NoWayOut } from "../../sandbox-native/way-out.ts";
import { type BuildLimits, tightestLimits } from "../api/build-limits.ts";
import { type BuildAttributes, readAttributes } from "./attributes.ts";
import { type BuildContext, type Subject, supportedSystems } from "./context.ts";
import { buildDirectoryInside, makeSurroundings, printEnvironment } from "./environment.ts";
import { BuildError } from "./errors.ts";
import { type Buildable, findInputClosure, type InputClosure } from "./inputs.ts";
import { findNetwork } from "./network.ts";
import { makeGraphFiles, makeGraphObjects } from "./references-graph.ts";
import { makeReplacements, type Replacements, replaceBytes } from "./replace-bytes.ts";
import { isTurned, type Variation } from "./variation.ts";

/** An output of the build that is to come. */
export interface PlannedOutput {
  readonly id: string;
  readonly output: Output;
  /** Where the builder makes it. */
  readonly scratchPath: StorePath;
  /** Unknown for a floating output until it was built. */
  readonly finalPath?: StorePath;
}

export interface PreparedBuild extends Buildable {
  readonly attributes: BuildAttributes;
  /** All that the builder may see, dependencies first. */
  readonly inputs: readonly StorePath[];
  readonly world?: StorePath;
  readonly outputs: readonly PlannedOutput[];
  readonly environment: ReadonlyMap<string, Uint8Array>;
  readonly order: BuildOrder;
  /** Why it has no network, though it makes fixed outputs. */
  readonly networkMissing?: NoWayOut;
}

export interface PrepareOptions {
  readonly cores: number;
  /** 0: none. */
  readonly timeoutMs: number;
  readonly silenceMs: number;
  /** Those of the request. */
  readonly limits?: BuildLimits;
  readonly requireLimits?: boolean;
  readonly seccompLog?: boolean;
  /** Leave the build directory to be kept or given up; it is on disk then. */
  readonly keepFailed?: boolean;
  /** What this build is given otherwise than always. */
  readonly variation?: Variation;
}

/**
 * All of the inputs must be valid. Throws BUILD_SYSTEM_UNSUPPORTED, BUILD_FEATURE_UNSUPPORTED, BUILD_BUILTIN_UNSUPPORTED,
 * BUILD_ATTRIBUTE_INVALID, BUILD_INPUT_MISSING, BUILD_WORLD_NOT_INPUT, BUILD_WORLD_NOT_ADMITTED,
 * BUILD_NETWORK_UNAVAILABLE.
 */
export function prepareBuild(
  context: BuildContext,
  subject: Subject,
  buildable: Buildable,
  options: PrepareOptions,
): PreparedBuild {
  const { store, settings } = context;
  const { variation } = options;
  const { directory } = store;
  const { drvPath, derivation } = buildable;
  const attributes = readAttributes(subject.drvPath, derivation);
  assertSupported(context, subject, buildable, attributes);

  const closure = findInputClosure(context, subject, derivation);
  const inputs = closure.inOrder;
  const world = findWorld(context, subject, attributes, closure, derivation.outputs.values());
  const outputs = planOutputs(context, buildable, closure);
  const { network, missing: networkMissing } = findNetwork(context, subject, derivation);

  const outputPaths = new Map(outputs.map(({ id, scratchPath }) => [id, printStorePath(directory, scratchPath)]));
  const replacements = makeReplacements(Array.from(outputPaths, ([id, path]) => [placeholderOf(id), path]));
  const isPlain = attributes.structured === undefined;
  const exports = attributes.graphExports;
  const { environment, files } = makeSurroundings({
    storeDirectory: directory,
    derivation,
    attributes,
    cores: variation?.cores ?? options.cores,
    variation,
    replacements,
    outputPaths,
    impureEnvironment: settings.impureEnvironment,
    graphs: isPlain || exports.length === 0 ? {} : makeGraphObjects(context, subject, exports, closure.all),
  });
  const graphFiles = isPlain && exports.length > 0 ? makeGraphFiles(context, subject, exports, closure.all) : [];
  const { builder, args } = replaceInCommand(buildable, replacements);

  const limits = tightestLimits(settings.limits, attributes.limits, options.limits ?? {}, {
    timeoutMs: options.timeoutMs,
    silenceMs: options.silenceMs,
  });
  const order: BuildOrder = {
    spec: {
      storeDirectory: directory,
      inputs: isTurned(variation, "input-order") ? inputs.toReversed() : inputs,
      ...(world === undefined ? {} : { world }),
      outputs: outputs.map(({ scratchPath }) => scratchPath),
      builder,
      argv0: builder.subarray(builder.lastIndexOf(slash) + 1),
      args,
      environment: printEnvironment(environment, variation),
      buildDirectory: {
        inside: variation?.buildDirectory ?? buildDirectoryInside,
        kind: options.keepFailed === true ? "disk" : settings.buildDirectory,
        sizeBytes: BigInt(limits.buildDirectoryBytes ?? 0),
        inodes: BigInt(limits.buildDirectoryInodes ?? 0),
      },
      files: [...files, ...graphFiles],
      hostName: variation?.hostName ?? plainJail.hostName,
      ...variation?.jail,
      network,
      personality: derivation.system === "i686-linux" && settings.system !== "i686-linux" ? "linux32" : "linux",
      umask: variation?.umask ?? 0o022,
      limits: {
        wallTimeMs: limits.timeoutMs ?? 0,
        silenceMs: limits.silenceMs ?? 0,
        logBytes: limits.logBytes ?? 0,
        rlimits: [{ resource: "core", soft: 0n, hard: 0n }],
        resources: {
          memoryBytes: BigInt(limits.memoryBytes ?? 0),
          swapBytes: BigInt(limits.swapBytes ?? 0),
          cpuThousandths: limits.cpuThousandths ?? 0,
          cpuWeight: limits.cpuWeight ?? 0,
          processes: limits.processes ?? 0,
          ioWeight: limits.ioWeight ?? 0,
          readBytesPerSecond: BigInt(limits.readBytesPerSecond ?? 0),
          writtenBytesPerSecond: BigInt(limits.writtenBytesPerSecond ?? 0),
          leastFreeBytes: BigInt(settings.leastFreeBytes),
          leastFreeInodes: BigInt(settings.leastFreeInodes),
          required: settings.requireLimits || options.requireLimits === true,
        },
      },
      ...(options.seccompLog && { seccomp: { log: true } }),
    },
    candidates: [...inputs.map(hashPartOf), ...outputs.map(({ scratchPath }) => hashPartOf(scratchPath))],
    outputs: outputs.map(({ scratchPath, output }) => ({ name: scratchPath, ...hashesToMake(output) })),
    ...(options.keepFailed === true && { keepDirectory: true }),
  };
  return {
    drvPath,
    derivation,
    attributes,
    inputs,
    ...(world === undefined ? {} : { world }),
    outputs,
    environment,
    order,
    ...(networkMissing === undefined ? {} : { networkMissing }),
  };
}

const slash = 0x2f;

/** Those of the usual ids are made once: the hash would be a good part of what a small build takes to prepare. */
const usualPlaceholders = new Map(
  ["out", "bin", "dev", "doc", "lib", "man"].map((id) => [id, makePlaceholder(id)] as const),
);

function placeholderOf(outputId: string): string {
  return usualPlaceholders.get(outputId) ?? makePlaceholder(outputId);
}

function assertSupported(
  { settings }: BuildContext,
  subject: Subject,
  { derivation }: Buildable,
  attributes: BuildAttributes,
): void {
  const builder = text(derivation.builder);
  if (builder.startsWith("builtin:")) throw new BuildError("BUILD_BUILTIN_UNSUPPORTED", { ...subject, builder });

  const supported = supportedSystems(settings.system);
  const { system } = derivation;
  if (!supported.includes(system)) throw new BuildError("BUILD_SYSTEM_UNSUPPORTED", { ...subject, system, supported });

  const features = attributes.requiredSystemFeatures.filter((feature) => !settings.systemFeatures.includes(feature));
  if (features.length > 0)
    throw new BuildError("BUILD_FEATURE_UNSUPPORTED", { ...subject, features, supported: settings.systemFeatures });
}

function findWorld(
  { store }: BuildContext,
  subject: Subject,
  attributes: BuildAttributes,
  closure: InputClosure,
  outputs: Iterable<Output>,
): StorePath | undefined {
  const { world } = attributes;
  if (world === undefined) return undefined;

  let path: StorePath;
  try {
    path = parseFullStorePath(store.directory, world);
  } catch (cause) {
    throw new BuildError("BUILD_WORLD_NOT_INPUT", { ...subject, world }, { cause });
  }
  if (!closure.all.has(path)) throw new BuildError("BUILD_WORLD_NOT_INPUT", { ...subject, world });
  if (attributes.standalone) return path;
  for (const output of outputs) {
    if (output.kind !== "floating" || admitsReferences(output)) continue;
    const form = `${output.method} ${output.algorithm} hash`;
    throw new BuildError("BUILD_WORLD_NOT_ADMITTED", { ...subject, world, form });
  }
  return path;
}

function admitsReferences({ method, algorithm }: FloatingOutput): boolean {
  return algorithm === "sha256" && method !== "flat";
}

/** A path that the builder sees as an input cannot be made by it: such an output (of a check) is made elsewhere. */
function planOutputs({ store }: BuildContext, { drvPath, derivation }: Buildable, closure: InputClosure) {
  const outputs: PlannedOutput[] = [];
  for (const [id, output] of derivation.outputs) {
    const finalPath = outputPathOf(store.directory, derivation, id);
    if (finalPath === undefined) {
      outputs.push({ id, output, scratchPath: makeScratchPath(store.directory, drvPath, id) });
      continue;
    }
    const isInput = store.graph.has(finalPath) && closure.all.has(finalPath);
    const scratchPath = isInput ? makeScratchPathFor(store.directory, drvPath, finalPath) : finalPath;
    outputs.push({ id, output, scratchPath, finalPath });
  }
  return outputs;
}

function replaceInCommand({ derivation }: Buildable, replacements: Replacements) {
  return {
    builder: replaceBytes(derivation.builder, replacements),
    args: derivation.args.map((argument) => replaceBytes(argument, replacements)),
  };
}

/** The hashes that the launcher makes besides the NAR's. */
function hashesToMake(output: Output): Pick<BuildOrder["outputs"][number], "hash" | "moduloSelf"> {
  if (output.kind !== "fixed" && output.kind !== "floating") return {};
  const method = output.method === "recursive" ? "recursive" : "flat"; // a text is one file, too
  if (output.kind === "fixed") return { hash: { method, algorithm: output.hash.algorithm } };
  const hash = { method, algorithm: output.algorithm } as const;
  return method === "recursive" ? { hash, moduloSelf: true } : { hash }; // one file's hash leaves nothing out
}
