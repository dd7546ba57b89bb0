/** A jail tried for real, in a store that is made for it and removed again. */
import { copyFile, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CloisterError } from "../derivations/error.ts";
import { launcherExecutable } from "./binding.ts";
import { type JailSpec, noResourceLimits, plainJail } from "./jail-spec.ts";
import { startLauncher } from "./launcher.ts";
import type { Strength } from "./launcher-messages.ts";

export interface TriedJail {
  readonly ok: boolean;
  readonly why?: string;
  readonly remedy?: string;
  /** The limits that could not have been enforced for a build in it, such as "memory". */
  readonly notEnforced?: readonly string[];
}

/** Runs a build whose builder is the launcher's own program, which is static and can do nothing well. */
export async function tryJail(
  strength: Strength,
  options: { readonly pasta?: string; readonly network?: JailSpec["network"] } = {},
): Promise<TriedJail> {
  const folder = await mkdtemp(join(tmpdir(), "cloister-probe-"));
  try {
    const places = ["store", "staging", "trash", "builds"].map((name) => join(folder, name));
    await Promise.all(places.map((place) => mkdir(place)));
    const [storeDirectory = "", stagingDirectory = "", trashDirectory = "", buildsDirectory = ""] = places;
    await copyFile(launcherExecutable(), join(storeDirectory, "program"));
    const started = { storeDirectory, stagingDirectory, trashDirectory, buildsDirectory, strength, maxJobs: 1 };
    const { pasta = "", network = "none" } = options;
    await using launcher = await startLauncher({ ...started, pasta });
    const { ending, unenforced } = await launcher.build(
      { spec: { ...probeSpec, network }, candidates: [], outputs: [] },
      { onLog: () => undefined },
    );
    if (ending.kind === "exited" && ending.code === 0) return { ok: true, notEnforced: unenforced };
    const failure =
      "step" in ending ? `${ending.step} failed with ${ending.errnoName} for ${ending.path}` : ending.kind;
    return { ok: false, why: `a jail could not be made: ${failure}` };
  } catch (error) {
    if (!(error instanceof CloisterError)) throw error;
    return { ok: false, why: error.message, remedy: error.hint };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** More than the program needs: what is tried is whether they can be set. */
const resources = {
  ...noResourceLimits,
  ...{ memoryBytes: 256n << 20n, cpuThousandths: 1000, cpuWeight: 100, processes: 1000 },
};

const probeSpec: JailSpec = {
  ...plainJail,
  inputs: ["program"],
  outputs: [],
  builder: Buffer.from(`${plainJail.storeDirectory}/program`),
  argv0: Buffer.from("program"),
  args: ["--probe", "nothing"].map((text) => Buffer.from(text)),
  limits: { ...plainJail.limits, wallTimeMs: 10_000, resources },
};
