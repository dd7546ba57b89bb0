/** Runs the probe (test/jail/probe/) as a builder of cloister's and of a peer's, and outside of any jail. */
import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { printDerivation } from "../../derivations/aterm.ts";
import { referencesOf } from "../../derivations/derivation.ts";
import { fillOutputs, makeHashOfInput } from "../../derivations/derivation-hash.ts";
import { parseFullStorePath, printStorePath } from "../../derivations/store-path.ts";
import type { JailSpec } from "../../sandbox-native/jail-spec.ts";
import type { BuildAnswer } from "../../sandbox-native/launcher.ts";
import { dumpTree } from "../../sandbox-native/read-tree.ts";
import type { Flavour } from "../bench/peer-connection.ts";
import { openPeer } from "../bench/subjects.ts";
import { Accomplice } from "./accomplice.ts";
import { collect } from "./collect.ts";
import { type ProbeRow, parseReport, probeEnvironment } from "./probe-report.ts";
import { StaticBuilders } from "./static-builders.ts";
import { busybox, out, shellSpec, storeDirectory, storeName, type TemporaryLauncher } from "./temporary-launcher.ts";

/** The compiled probe, and an accomplice outside that it looks for. */
export class ProbeBench implements AsyncDisposable {
  readonly builders: StaticBuilders;
  readonly folder: string;
  readonly accomplice: Accomplice;

  private constructor(builders: StaticBuilders, folder: string, accomplice: Accomplice) {
    this.builders = builders;
    this.folder = folder;
    this.accomplice = accomplice;
  }

  static async open(): Promise<ProbeBench> {
    const builders = new StaticBuilders(["probe", "outside"]);
    const folder = mkdtempSync(join(tmpdir(), "cloister-outside-"));
    chmodSync(folder, 0o755);
    return new ProbeBench(builders, folder, await Accomplice.start(builders.path("outside"), folder));
  }

  async inCloister(
    here: TemporaryLauncher,
    network: JailSpec["network"] = "none",
  ): Promise<{ rows: ProbeRow[]; answer: BuildAnswer }> {
    const [program, input, world] = [storeName("p", "probe"), storeName("1", "input"), storeName("w", "world")];
    mkdirSync(join(here.store, input), { recursive: true });
    mkdirSync(join(here.store, world, "usr/bin"), { recursive: true });
    this.#writeInput(join(here.store, input, "file"));
    this.#writeInput(join(here.store, world, "usr/bin/tool"));
    copyFileSync(this.builders.path("probe"), join(here.store, program));
    chmodSync(join(here.store, program), 0o777);
    const environment = this.#environment({
      input: `${storeDirectory}/${input}`,
      world: "/usr/bin/tool",
      inputs: [program, input, world, busybox],
      places: [here.folder],
      out: `${storeDirectory}/${out}`,
    });
    const { answer, log } = await here.run({
      ...shellSpec("", { inputs: [program, input, world], world, network }),
      builder: Buffer.from(`${storeDirectory}/${program}`),
      argv0: Buffer.from("probe"),
      args: [],
      environment: Object.entries(environment).map((pair) => Buffer.from(pair.join("="))),
    });
    return { rows: parseReport(log), answer };
  }

  async inPeer(flavour: Flavour): Promise<ProbeRow[]> {
    const files = mkdtempSync(join(tmpdir(), "cloister-peer-"));
    await using peer = await openPeer(flavour);
    try {
      mkdirSync(join(files, "input"));
      this.#writeInput(join(files, "input/file"));
      const add = async (name: string, path: string) =>
        parseFullStorePath(peer.storeDirectory, await peer.addSource(name, await collect(dumpTree(path))));
      const program = await add("probe", this.builders.path("probe"));
      const input = await add("input", join(files, "input"));
      const full = (path: typeof program) => printStorePath(peer.storeDirectory, path);
      const environment = this.#environment({
        input: full(input),
        world: `${full(input)}/file`,
        inputs: [program, input],
        places: [peer.storeDirectory, "/nix/var", "/tmp"],
        out: "",
      });
      const derivation = fillOutputs(
        peer.storeDirectory,
        {
          name: "probe",
          outputs: new Map([["out", { kind: "deferred" }]]),
          inputDerivations: new Map(),
          inputSources: new Set([program, input]),
          system: `${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux`,
          builder: Buffer.from(full(program)),
          args: [],
          environment: new Map(Object.entries(environment).map(([name, value]) => [name, Buffer.from(value)])),
        },
        makeHashOfInput(new Map()),
      );
      const contents = printDerivation(peer.storeDirectory, derivation);
      const references = referencesOf(derivation).map(full);
      await peer.build([await peer.addText("probe.drv", contents, references)]);
      const output = derivation.outputs.get("out");
      if (output?.kind !== "input-addressed") throw new Error("the output's path was not filled in");
      return parseReport(readFileSync(join(peer.rootDirectory, full(output.path)), "utf8"));
    } finally {
      rmSync(files, { recursive: true, force: true });
    }
  }

  /** As an ordinary user: root would do what it tries. */
  inNothing(): ProbeRow[] {
    const bare = mkdtempSync(join(tmpdir(), "cloister-bare-"));
    try {
      for (const path of ["", "input", "work"]) {
        mkdirSync(join(bare, path), { recursive: true });
        chmodSync(join(bare, path), 0o777);
      }
      this.#writeInput(join(bare, "input/file"));
      copyFileSync(this.builders.path("probe"), join(bare, "probe"));
      chmodSync(join(bare, "probe"), 0o755);
      const [input, world] = [join(bare, "input"), join(bare, "input/file")];
      const env = this.#environment({ input, world, inputs: [], places: [], out: join(bare, "work/out") });
      const nobody = process.geteuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};
      const cwd = join(bare, "work");
      return parseReport(execFileSync(join(bare, "probe"), { ...nobody, cwd, env, encoding: "utf8" }));
    } finally {
      rmSync(bare, { recursive: true, force: true });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.accomplice[Symbol.asyncDispose]();
    rmSync(this.folder, { recursive: true, force: true });
    this.builders[Symbol.dispose]();
  }

  /** Its mode lets anyone write: what keeps it is the jail. */
  #writeInput(path: string): void {
    writeFileSync(path, "as it was");
    chmodSync(path, 0o666);
  }

  #environment(inside: {
    input: string;
    world: string;
    inputs: readonly string[];
    places: readonly string[];
    out: string;
  }): Record<string, string> {
    return { ...probeEnvironment({ accomplice: this.accomplice, folder: this.folder, ...inside }), out: inside.out };
  }
}
