/**
 * An advisory of another build daemon as a test: an attack by its mechanism, which gets through when the defence against
 * it has been taken out of the launcher, and does not get through the real one. The first half is what makes the second
 * one worth something.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, readFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { beforeAll, describe, expect, test } from "vitest";
import type { JailSpec } from "../../../sandbox-native/jail-spec.ts";
import type { BuildAnswer, BuildOrder, Strength } from "../../../sandbox-native/launcher.ts";
import { strengthsToTest } from "../../support/granted-strengths.ts";
import { compileNativePrograms, programOf } from "../../support/native-programs.ts";
import {
  makeTemporaryLauncher,
  shellSpec,
  storeDirectory,
  storeName,
  type TemporaryLauncher,
} from "../../support/temporary-launcher.ts";

export interface Advisory {
  /** As the advisory is called: the test file is named by it. */
  readonly id: string;
  /** What is attempted. */
  readonly mechanism: string;
  /** Names of core/defences.h which, taken out together, let the attack through. */
  readonly without: readonly string[];
  /** Each defence in `without` holds alone, when all others are taken out. */
  readonly eachHolds?: boolean;
  /** By default all. */
  readonly strengths?: readonly Strength[];
  /** The attack needs a second user on the machine, whom only root can become. */
  readonly needsOtherUser?: boolean;
  /** What the attacker got: undefined if nothing. */
  attack(bench: Bench): Promise<string | undefined>;
}

/** Whom the outsider is, when root runs the tests. */
const otherUser = 65534;
const isRoot = process.geteuid?.() === 0;

export function describeBothWays(advisory: Advisory): void {
  const { id, mechanism, without, eachHolds = false } = advisory;
  const settings = [
    { name: `gets through without ${without.join(", ")}`, removed: without, through: true },
    ...(eachHolds && without.length > 1
      ? without.map((kept) => ({
          name: `does not get through ${kept} alone`,
          removed: without.filter((one) => one !== kept),
          through: false,
        }))
      : []),
    { name: "does not get through the real one", removed: [], through: false },
  ];
  beforeAll(() => compileNativePrograms("without"), 300_000);
  describe(`${id}: ${mechanism}`, async () => {
    describe.for(await strengthsToTest())("in $strength strength", ({ strength, missing }) => {
      test.for(settings)("$name", async ({ removed, through }, { skip }) => {
        skip(missing !== "", missing);
        skip(advisory.strengths?.includes(strength) === false, `needs ${advisory.strengths?.join(" or ")} strength`);
        skip(advisory.needsOtherUser === true && !isRoot, "needs root, to be another user");
        await using here = await makeTemporaryLauncher({ strength, without: removed });
        const got = await advisory.attack(new Bench(here, strength, through ? 400 : 6, removed));
        if (through) expect(got).toEqual(expect.any(String));
        else expect(got).toBeUndefined();
      });
    });
  });
}

export interface Outsider {
  readonly process: ChildProcess;
  /** All that it printed. */
  readonly output: Promise<string>;
}

/** A launcher, and programs of this folder inside and outside of its jails. */
export class Bench {
  readonly here: TemporaryLauncher;
  readonly strength: Strength;
  /** How often an attack that has to win a race is tried: where it must get through, until it does. */
  readonly tries: number;

  /** The defences that are taken out. */
  readonly without: readonly string[];

  constructor(here: TemporaryLauncher, strength: Strength, tries: number, without: readonly string[] = []) {
    this.without = without;
    this.here = here;
    this.tries = tries;
    this.strength = strength;
  }

  /** The base name of a program in the store, where it is put when it is first asked for. */
  addProgram(name: string): string {
    const base = storeName("p", name);
    const file = join(this.here.store, base);
    if (!existsSync(file)) {
      copyFileSync(programOf("without", name), file);
      chmodSync(file, 0o555);
    }
    return base;
  }

  /** A spec whose builder is a program. */
  spec(program: string, args: readonly string[], changes: Partial<JailSpec> = {}): JailSpec {
    const base = this.addProgram(program);
    const spec = shellSpec("", { ...changes, inputs: [base, ...(changes.inputs ?? [])] });
    return {
      ...spec,
      builder: Buffer.from(`${storeDirectory}/${base}`),
      argv0: Buffer.from(program),
      args: args.map((arg) => Buffer.from(arg)),
    };
  }

  /** Runs a build. `onStart` is called when the builder has written something. */
  async build(
    spec: JailSpec,
    options: { order?: Partial<BuildOrder>; onStart?: () => void; signal?: AbortSignal } = {},
  ): Promise<{ answer: BuildAnswer; log: string }> {
    const pieces: Uint8Array[] = [];
    const onLog = (bytes: Uint8Array) => {
      pieces.push(bytes);
      options.onStart?.();
    };
    const order = { spec, candidates: [], outputs: spec.outputs.map((name) => ({ name })), ...options.order };
    const answer = await this.here.launcher.build(order, {
      onLog,
      ...(options.signal && { signal: options.signal }),
    });
    return { answer, log: Buffer.concat(pieces).toString() };
  }

  /** Starts a build that goes on, and waits until the builder has written something. */
  async startBuild(spec: JailSpec): Promise<{ ended: Promise<{ answer: BuildAnswer; log: string }>; cancel(): void }> {
    const begun = Promise.withResolvers<void>();
    const abort = new AbortController();
    const ended = this.build(spec, { onStart: begun.resolve, signal: abort.signal });
    await Promise.race([begun.promise, ended]);
    return { ended, cancel: () => abort.abort() };
  }

  /** Starts a program outside: as another user if root asks for that, else as ourselves. */
  startOutside(program: string, args: readonly string[], user: "other" | "own" | number = "other"): Outsider {
    const base = this.addProgram(program);
    const uid = user === "other" ? otherUser : user;
    const child = spawn(join(this.here.store, base), args, {
      stdio: ["ignore", "pipe", "inherit"],
      cwd: "/",
      ...(isRoot && uid !== "own" && { uid, gid: uid }),
    });
    return { process: child, output: text(child.stdout) };
  }

  /** What another user reaches at these places, or undefined: see reach.c. */
  async reachOutside(...places: string[]): Promise<string | undefined> {
    const output = await this.startOutside("reach", places).output;
    return output === "" ? undefined : output;
  }

  /** A build's uid as the machine sees it; `answer.uid` is the launcher's. */
  uidOutside(answer: BuildAnswer): number {
    const map = readFileSync(`/proc/${this.here.launcher.pid}/uid_map`, "utf8").trim().split("\n");
    for (const line of map) {
      const [inside = 0, outside = 0, count = 0] = line.trim().split(/ +/).map(Number);
      if (inside <= answer.uid && answer.uid < inside + count) return outside + answer.uid - inside;
    }
    throw new Error(`uid ${answer.uid} is none of the launcher's`);
  }

  /** The views of builds, by their places on the host. */
  async viewsInStaging(): Promise<string[]> {
    const names = await readdir(this.here.staging);
    return names.filter((name) => name.startsWith("view-")).map((name) => join(this.here.staging, name));
  }

  /** Lets go what a build left in staging. */
  async discard(answer: BuildAnswer): Promise<void> {
    const names = answer.outputs.flatMap((output) => (output.kind === "sealed" ? [output.stagingName] : []));
    await this.here.launcher.discard(names, [answer.view]);
  }
}
