/** Builds in a real store of their own, by the service in this process: shell scripts of a static busybox, without a world. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BuildEvent } from "../../daemon/api/events.ts";
import type { BuildOptions, Service } from "../../daemon/api/service.ts";
import { type LocalOptions, openLocal } from "../../daemon/server/local-service.ts";
import { printDerivation } from "../../derivations/aterm.ts";
import type { BuildResult } from "../../derivations/build-result.ts";
import { bytes } from "../../derivations/bytes.ts";
import { type Derivation, outputPathOf, referencesOf } from "../../derivations/derivation.ts";
import {
  type DerivationModulo,
  fillOutputs,
  hashDerivationModulo,
  makeHashOfInput,
} from "../../derivations/derivation-hash.ts";
import type { DerivedPath } from "../../derivations/derived-path.ts";
import type { Output } from "../../derivations/output.ts";
import { makeUpstreamPlaceholder } from "../../derivations/placeholder.ts";
import { printStorePath, type StoreDirectory, type StorePath } from "../../derivations/store-path.ts";
import { busyboxTree } from "./busybox.ts";
import { collectBytes } from "./collect.ts";
import { makeRemovable } from "./temporary-store.ts";

export interface Recipe {
  readonly name?: string;
  /** For busybox's shell, with all of its programs; `-e`. */
  readonly script?: string;
  /** In place of busybox and the script. */
  readonly builder?: string;
  readonly args?: readonly string[];
  /** Ids of input-addressed outputs, or outputs of other kinds by id; by default "out". */
  readonly outputs?: readonly string[] | Readonly<Record<string, Output>>;
  readonly variables?: Readonly<Record<string, string>>;
  readonly inputs?: readonly Derived[];
  readonly sources?: readonly StorePath[];
  readonly system?: string;
}

/** A derivation in the store. */
export interface Derived {
  readonly drvPath: StorePath;
  readonly derivation: Derivation;
  /** The full path of an output, or what stands for it while it is not known. */
  readonly out: (outputId?: string) => string;
  readonly target: DerivedPath & { readonly kind: "built" };
}

export interface Built {
  readonly results: readonly BuildResult[];
  /** The first one. */
  readonly result: BuildResult;
  readonly events: readonly BuildEvent[];
}

export const options: BuildOptions = { mode: "normal", keepGoing: false, cores: 1, timeoutMs: 0, silenceMs: 0 };

export class LocalBuilds implements AsyncDisposable {
  readonly service: Service;
  readonly root: string;
  readonly directory: StoreDirectory;
  readonly realStoreDirectory: string;
  readonly system: string;
  readonly busybox: StorePath;
  readonly #hashes = new Map<StorePath, DerivationModulo>();

  private constructor(
    service: Service,
    root: string,
    status: Awaited<ReturnType<Service["status"]>>,
    busybox: StorePath,
  ) {
    this.service = service;
    this.root = root;
    this.directory = status.storeDirectory;
    this.realStoreDirectory = status.realStoreDirectory;
    this.system = status.system;
    this.busybox = busybox;
  }

  static async open(local: Partial<LocalOptions> = {}): Promise<LocalBuilds> {
    const root = mkdtempSync(join(tmpdir(), "cloister-builds-"));
    const service = await openLocal({ root, maxJobs: 2, ...local });
    const busybox = await service.addSource("busybox", { kind: "source", references: [] }, busyboxTree());
    return new LocalBuilds(service, root, await service.status(), busybox.path);
  }

  /** Over a service that someone else opened, with its store below `root`; who opened it also removes both. */
  static async over(service: Service, root: string): Promise<LocalBuilds> {
    const busybox = await service.addSource("busybox", { kind: "source", references: [] }, busyboxTree());
    return new LocalBuilds(service, root, await service.status(), busybox.path);
  }

  /** Writes the derivation of a recipe into the store. */
  async derive(recipe: Recipe): Promise<Derived> {
    const { name = "test", inputs = [] } = recipe;
    const outputs = Array.isArray(recipe.outputs ?? []) ? (recipe.outputs ?? ["out"]) : recipe.outputs;
    const byId = Array.isArray(outputs)
      ? (outputs as string[]).map((id) => [id, { kind: "deferred" }] as const)
      : Object.entries(outputs as Record<string, Output>);
    const derivation = fillOutputs(
      this.directory,
      {
        name,
        outputs: new Map(byId),
        inputDerivations: new Map(inputs.map((input) => [input.drvPath, new Set(input.derivation.outputs.keys())])),
        inputSources: new Set([this.busybox, ...(recipe.sources ?? [])]),
        system: recipe.system ?? this.system,
        builder: bytes(recipe.builder ?? `${printStorePath(this.directory, this.busybox)}/bin/busybox`),
        args: (recipe.args ?? ["sh", "-ec", recipe.script ?? ""]).map(bytes),
        environment: new Map(Object.entries(recipe.variables ?? {}).map(([key, value]) => [key, bytes(value)])),
      },
      makeHashOfInput(this.#hashes),
    );
    const contents = printDerivation(this.directory, derivation);
    const drvPath = await this.service.addText(`${name}.drv`, contents, referencesOf(derivation));
    this.#hashes.set(drvPath, hashDerivationModulo(this.directory, derivation, makeHashOfInput(this.#hashes)));
    const out = (outputId = "out") => {
      const path = outputPathOf(this.directory, derivation, outputId);
      return path === undefined ? makeUpstreamPlaceholder(drvPath, outputId) : printStorePath(this.directory, path);
    };
    return { drvPath, derivation, out, target: { kind: "built", drvPath, outputs: "all" } };
  }

  async buildAll(targets: readonly DerivedPath[], more: Partial<BuildOptions> = {}): Promise<Built> {
    const events: BuildEvent[] = [];
    const onEvent = (event: BuildEvent) => {
      events.push(event);
      more.onEvent?.(event);
    };
    const results = await this.service.build(targets, { ...options, ...more, onEvent });
    const [result] = results;
    if (result === undefined) throw new Error("there was nothing to build");
    return { results, result, events };
  }

  /** Derives and builds. */
  async build(recipe: Recipe, more: Partial<BuildOptions> = {}): Promise<Built & Derived> {
    const derived = await this.derive(recipe);
    return { ...derived, ...(await this.buildAll([derived.target], more)) };
  }

  /** The contents of a file of a store path, as text. */
  async read(path: StorePath | undefined, inside = ""): Promise<string> {
    if (path === undefined) throw new Error("there is no such output");
    return Buffer.from(await collectBytes(this.service.readFile(path, inside))).toString();
  }

  /** The log of a build, as text. */
  async log(recordId: string | undefined): Promise<string> {
    if (recordId === undefined) throw new Error("there was no build");
    return Buffer.from(await collectBytes(this.service.readLog(recordId))).toString();
  }

  /** What a path refers to. */
  async references(path: StorePath | undefined): Promise<StorePath[]> {
    const info = path && (await this.service.queryPathInfo(path));
    if (info === undefined) throw new Error(`${path} is not valid`);
    return [...info.references].sort();
  }

  /** What builds have left in the state directory, but for views and directories that are prepared for builds to come. */
  leftovers(): string[] {
    const state = join(this.root, "cloister/var/cloister");
    const names = ["staging", "builds"].flatMap((name) => readdirSync(join(state, name)));
    const prepared = names.filter((name) => /^(view|build)-/.test(name));
    return names.filter((name) => !prepared.includes(name) || prepared.length > 20);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.service[Symbol.asyncDispose]();
    await makeRemovable(this.root);
    rmSync(this.root, { recursive: true, force: true });
  }
}
