/**
 * What builds add to the daemon's metrics: plain numbers that cost a build some additions. Nobody may ever read them, so
 * what must be decoded first is kept as it came, a few builds long.
 */
import type { BuildResult } from "../../derivations/build-result.ts";
import type { BuildAnswer } from "../../sandbox-native/launcher.ts";

/** How often which values came: counts by upper bound, the last one for what is above them all. In seconds. */
export class Distribution {
  readonly bounds: readonly number[];
  /** Of each bound alone, not of all up to it. */
  readonly counts: number[];
  sum = 0;

  /** Bounds ascend. */
  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Array<number>(bounds.length + 1).fill(0);
  }

  note(value: number): void {
    let index = 0;
    while (index < this.bounds.length && value > (this.bounds[index] as number)) index += 1;
    this.counts[index] = (this.counts[index] as number) + 1;
    this.sum += value;
  }
}

const short = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 10];
const long = [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60, 300, 1200, 3600, 14_400];

type Timed = Pick<BuildAnswer, "timingsMicroseconds">;

export class BuildTallies {
  readonly #results: Record<BuildResult["status"], number> = {
    built: 0,
    "already-valid": 0,
    failed: 0,
    "dependency-failed": 0,
    cancelled: 0,
  };
  readonly #jail = new Distribution(short);
  readonly #builder = new Distribution(long);
  readonly #seal = new Distribution(short);
  /** From the time when a build was asked for to its start. */
  readonly waiting = new Distribution(long);
  #unread: Timed[] = [];

  noteResult(status: BuildResult["status"]): void {
    this.#results[status] += 1;
  }

  /** The launcher's answer to a build's order, whatever it says. */
  noteAnswer(answer: Timed): void {
    this.#unread.push(answer);
    if (this.#unread.length >= unreadAtMost) this.#readAnswers();
  }

  /** Builds that ended, by how; what was never started is counted only where a dependency failed. */
  get results(): Readonly<Record<BuildResult["status"], number>> {
    return this.#results;
  }

  /** How long the launcher took to make jails, builders took, and sealing outputs (with the move into the store) took. */
  get parts(): Readonly<Record<"jail" | "builder" | "seal", Distribution>> {
    this.#readAnswers();
    return { jail: this.#jail, builder: this.#builder, seal: this.#seal };
  }

  #readAnswers(): void {
    const answers = this.#unread;
    this.#unread = [];
    for (const { timingsMicroseconds } of answers) {
      const sums = { jail: 0, builder: 0, seal: 0 };
      for (const [name, microseconds] of Object.entries(timingsMicroseconds)) sums[partOf(name)] += microseconds;
      if (sums.builder > 0) {
        this.#jail.note(sums.jail / 1e6);
        this.#builder.note(sums.builder / 1e6);
      }
      if (sums.seal > 0) this.#seal.note(sums.seal / 1e6);
    }
  }
}

const unreadAtMost = 64;

/** Source: the laps of sandbox-native/src/launcher/build.cpp. */
function partOf(lap: string): "jail" | "builder" | "seal" {
  if (lap === "run" || lap === "wait") return "builder"; // until its first process ends, and until its last one
  return lap === "seal" || lap === "move" ? "seal" : "jail";
}
