/**
 * What earlier builds of the same name took: how long the next one may, how much processor time and memory. Names come
 * with their versions, and a build of another version is the best guess there is, so versions are left out.
 */
import type { BuildRecord, BuildResources } from "../../derivations/build-record.ts";

export interface Usage {
  readonly cpuMicroseconds: number;
  readonly wallMs: number;
  /** Of all its processes where that was counted, else of the largest. */
  readonly memoryBytes: number;
}

/** How many names are remembered; the one that was not built for longest goes. */
const mostNames = 20_000;

export class UsageHistory {
  /** Undefined where the records have been looked through and know nothing. */
  readonly #usages = new Map<string, Usage | undefined>();
  readonly #findRecord: (name: string) => BuildRecord | undefined;

  /** `findRecord` gives the newest record of a build of this name, in any version, that was done; others tell nothing. */
  constructor(findRecord: (name: string) => BuildRecord | undefined) {
    this.#findRecord = findRecord;
  }

  /** What is known without looking anything up. */
  known(derivationName: string): Usage | undefined {
    return this.#usages.get(withoutVersion(derivationName));
  }

  /** The same; what is not known yet is looked for in the records, once. */
  find(derivationName: string): Usage | undefined {
    const name = withoutVersion(derivationName);
    if (!this.#usages.has(name)) {
      const record = this.#findRecord(name);
      this.#set(name, record === undefined ? undefined : usageOf(record.resources));
    }
    return this.#usages.get(name);
  }

  note(derivationName: string, resources: BuildResources): void {
    this.#set(withoutVersion(derivationName), usageOf(resources));
  }

  #set(name: string, usage: Usage | undefined): void {
    this.#usages.delete(name); // so that it comes last
    this.#usages.set(name, usage);
    if (this.#usages.size <= mostNames) return;
    for (const oldest of this.#usages.keys()) {
      this.#usages.delete(oldest);
      return;
    }
  }
}

export function usageOf(resources: BuildResources): Usage {
  const { cpuUserMicroseconds, cpuSystemMicroseconds, wallMicroseconds, peakMemoryBytes, maxResidentBytes } = resources;
  return {
    cpuMicroseconds: cpuUserMicroseconds + cpuSystemMicroseconds,
    wallMs: wallMicroseconds / 1000,
    memoryBytes: peakMemoryBytes ?? maxResidentBytes,
  };
}

/** "hello" of "hello-2.12": a version begins after the first dash that no letter follows (Nix's parseDrvName). */
function withoutVersion(name: string): string {
  return /^(.*?)-[^a-zA-Z]/s.exec(name)?.[1] ?? name;
}
