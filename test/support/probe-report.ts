/** What the probe (test/jail/probe/) is given, and what it says. */
import { readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Accomplice } from "./accomplice.ts";

export interface ProbeRow {
  /** Such as "setuid/chmod-int80". */
  readonly name: string;
  readonly verdict: "held" | "open" | "absent" | "broken";
  readonly detail: string;
}

export function parseReport(text: string): ProbeRow[] {
  return text
    .trimEnd()
    .split("\n")
    .map((line) => {
      const [name = "", verdict = "", detail = ""] = line.split("\t");
      if (!/^(?:held|open|absent|broken)$/.test(verdict)) throw new Error(`not a line of the probe's: ${line}`);
      return { name, verdict: verdict as ProbeRow["verdict"], detail };
    });
}

/** What is outside of the jail and may be neither seen nor reached: the probe looks for each. */
export interface Surroundings {
  readonly accomplice: Accomplice;
  /** A directory of the host that no jail shows. */
  readonly folder: string;
  /** Full path of the input that is attacked; it has a file `file`. */
  readonly input: string;
  /** Full path inside of a file of the world, or of one that would be there. */
  readonly world: string;
  /** Base names of all declared inputs. */
  readonly inputs: readonly string[];
  /** Where store, staging and builds are on their own file systems. */
  readonly places: readonly string[];
}

const namespaces = ["user", "mnt", "net", "pid", "ipc", "uts", "cgroup"];

export function probeEnvironment(around: Surroundings): Record<string, string> {
  const secret = join(around.folder, "secret");
  writeFileSync(secret, "secret", { mode: 0o644 });
  return {
    PROBE_PORT: String(around.accomplice.port),
    PROBE_ABSTRACT: around.accomplice.name,
    PROBE_SOCKET: around.accomplice.socketPath,
    PROBE_SHM: String(around.accomplice.sharedKey),
    PROBE_SHM_FILE: around.accomplice.name,
    PROBE_MQ: `/${around.accomplice.name}`,
    PROBE_PID: String(around.accomplice.pid),
    PROBE_NAMESPACES: namespaces.map((name) => readlinkSync(`/proc/self/ns/${name}`)).join(" "),
    PROBE_SECRET: secret,
    PROBE_INPUT: around.input,
    PROBE_WORLD: around.world,
    PROBE_NAMES: `:${around.inputs.join(":")}:`,
    PROBE_PLACES: around.places.join(":"),
  };
}
