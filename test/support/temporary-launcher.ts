/** A launcher over a store of its own below the system's temporary directory, with a static busybox in it. */
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type JailSpec, plainJail } from "../../sandbox-native/jail-spec.ts";
import {
  type BuildAnswer,
  type BuildOrder,
  type Launcher,
  type Strength,
  startLauncher,
} from "../../sandbox-native/launcher.ts";
import { programOf } from "./native-programs.ts";

export const { storeDirectory } = plainJail;
export const busyboxFile = "/bin/busybox";
export const hasBusybox = existsSync(busyboxFile);

/** A base name for the store: 32 equal digits and a name. */
export const storeName = (digit: string, name: string) => `${digit.repeat(32)}-${name}`;

export const busybox = storeName("b", "busybox");
export const out = storeName("0", "out");

/** A spec that runs a script by busybox's shell, with all that `changes` does not say as plain as can be. */
export function shellSpec(script: string, changes: Partial<JailSpec> = {}): JailSpec {
  const inputs = [busybox, ...(changes.inputs ?? [])];
  const outputs = changes.outputs ?? [out];
  const base: JailSpec = {
    ...plainJail,
    inputs,
    outputs,
    builder: Buffer.from(`${storeDirectory}/${busybox}/bin/sh`),
    argv0: Buffer.from("sh"),
    args: ["-c", script].map((text) => Buffer.from(text)),
    environment: [
      `PATH=${storeDirectory}/${busybox}/bin`,
      `out=${storeDirectory}/${outputs[0] ?? "none"}`,
      ...outputs.slice(1).map((name, index) => `out${index + 2}=${storeDirectory}/${name}`),
    ].map((text) => Buffer.from(text)),
    buildDirectory: { ...plainJail.buildDirectory, kind: "disk" },
    limits: noLimits,
  };
  return { ...base, ...changes, inputs, outputs };
}

export const noLimits: JailSpec["limits"] = { ...plainJail.limits, wallTimeMs: 30_000 };

export interface Ran {
  readonly answer: BuildAnswer;
  readonly log: string;
}

export interface TemporaryLauncher extends AsyncDisposable {
  readonly launcher: Launcher;
  readonly folder: string;
  readonly store: string;
  readonly staging: string;
  readonly builds: string;
  /** Runs a spec, with its outputs as plain ones where `order` does not say otherwise. */
  run(spec: JailSpec, order?: Partial<BuildOrder>, signal?: AbortSignal): Promise<Ran>;
  /** Runs a script that must exit with 0 and has no outputs, and gives what it wrote. */
  shell(script: string, changes?: Partial<JailSpec>): Promise<string>;
  /** Moves an output into the store, lets its view go, and gives its path on the host. */
  keep(answer: BuildAnswer, name?: string): Promise<string>;
}

export interface TemporaryLauncherOptions {
  readonly strength?: "auto" | Strength;
  readonly maxJobs?: number;
  readonly folder?: string;
  /** By default what CLOISTER_CGROUP_ROOT says. */
  readonly controlGroupRoot?: string;
  /** Defences to take out, by their names in core/defences.h; `compileNativePrograms("without")` comes before. */
  readonly without?: readonly string[];
  /** For builds with a way out. */
  readonly pasta?: string;
  readonly mostBuildUsers?: number;
}

export async function makeTemporaryLauncher(options: TemporaryLauncherOptions = {}): Promise<TemporaryLauncher> {
  const folders = makeTemporaryFolders(options.folder);
  const { storeDirectory: store, stagingDirectory: staging, buildsDirectory: builds } = folders.options;
  addBusybox(store);
  const { strength = "auto", maxJobs = 2, without = [], pasta = "", mostBuildUsers = 0 } = options;
  const { controlGroupRoot = process.env.CLOISTER_CGROUP_ROOT ?? "auto" } = options;
  const launcherOptions = {
    ...{ ...folders.options, strength, maxJobs, pasta, controlGroupRoot, mostBuildUsers },
    ...(without.length > 0 && {
      executable: programOf("without", "cloister-launcher"),
      extraArguments: [`without=${without.join(",")}`],
    }),
  };
  const launcher = await startLauncher(launcherOptions).catch(async (error: unknown) => {
    await folders[Symbol.asyncDispose]();
    throw error;
  });
  const run: TemporaryLauncher["run"] = async (spec, order = {}, signal) => {
    const pieces: Uint8Array[] = [];
    const answer = await launcher.build(
      { spec, candidates: [], outputs: spec.outputs.map((name) => ({ name })), ...order },
      { onLog: (bytes) => pieces.push(bytes), ...(signal && { signal }) },
    );
    return { answer, log: Buffer.concat(pieces).toString() };
  };
  return {
    launcher,
    folder: folders.folder,
    store,
    staging,
    builds,
    run,
    async shell(script, changes = {}) {
      const { answer, log } = await run(shellSpec(script, { outputs: [], ...changes }));
      await launcher.discard([], [answer.view]);
      if (answer.ending.kind !== "exited" || answer.ending.code !== 0)
        throw new Error(`the script ended with ${JSON.stringify(answer.ending)}: ${log}`);
      return log;
    },
    async keep(answer, name = out) {
      const output = answer.outputs.find((candidate) => candidate.name === name);
      if (output?.kind !== "sealed") throw new Error(`${name} was not sealed, but ${output?.kind}`);
      await launcher.move([{ from: output.stagingName, to: name }], [answer.view]);
      return join(store, name);
    },
    async [Symbol.asyncDispose]() {
      await launcher.close();
      // One that was killed, or out of which a build broke, left what only its ids may touch; the next one has them too.
      const { trashDirectory: trash } = folders.options;
      if ([builds, staging, trash].some((place) => existsSync(place) && readdirSync(place).length > 0))
        await (await startLauncher({ ...folders.options, strength, maxJobs })).close();
      await folders[Symbol.asyncDispose]();
    },
  };
}

/** The directories that a launcher is started with: new ones, or those that another launcher left. */
export function makeTemporaryFolders(left?: string) {
  const folder = left ?? realpathSync(mkdtempSync(join(tmpdir(), "cloister-jail-")));
  chmodSync(folder, 0o755);
  const make = (name: string) => {
    mkdirSync(join(folder, name), { recursive: true });
    return join(folder, name);
  };
  const options = {
    storeDirectory: make("store"),
    stagingDirectory: make("staging"),
    trashDirectory: make("trash"),
    buildsDirectory: make("builds"),
  };
  return {
    folder,
    options,
    async [Symbol.asyncDispose]() {
      if (!existsSync(folder)) return;
      makeWritable(folder);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** The applets that tests use, as links: busybox knows by its name which one it is. */
const applets =
  "sh cat chmod cp date dd echo env false find grep head hostname id ip kill ln ls mkdir mkfifo mknod mount mv nc ps readlink rm rmdir sed seq setsid sleep sort stat su sync tail test touch true umount uname wc yes";

function addBusybox(store: string): void {
  const tools = join(store, busybox, "bin");
  if (existsSync(tools)) return;
  mkdirSync(tools, { recursive: true });
  copyFileSync(busyboxFile, join(tools, "busybox"));
  chmodSync(join(tools, "busybox"), 0o555);
  for (const applet of applets.split(" ")) symlinkSync("busybox", join(tools, applet));
}

/** Sealed directories cannot be written, so an ordinary user must make them writable before they can be removed. */
function makeWritable(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue;
    chmodSync(join(folder, entry.name), 0o700);
    makeWritable(join(folder, entry.name));
  }
}
