/** What two scrapes of a daemon's metrics say of the time between them: how late its main thread came to what was due. */

const name = "cloister_event_loop_delay";

/** Upper bounds in seconds, ascending, each with how many delays there were up to it so far. */
interface Scrape {
  readonly upTo: ReadonlyMap<number, number>;
  /** Since the watch began, in seconds. */
  readonly longest: number;
}

/** The delays of all stretches that were added. */
export class LoopDelays {
  /** Of each bound alone, not of all up to it. */
  readonly #counts = new Map<number, number>();
  #longest = 0;

  /** `before` and `after` are what `readMetrics` gave at the stretch's two ends. */
  add(before: string, after: string): void {
    const [first, last] = [readScrape(before), readScrape(after)];
    let below = 0;
    let highest = 0;
    for (const [bound, count] of last.upTo) {
      const grown = count - (first.upTo.get(bound) ?? 0);
      if (grown > below) highest = bound;
      this.#counts.set(bound, (this.#counts.get(bound) ?? 0) + grown - below);
      below = grown;
    }
    if (below === 0) throw new Error("the daemon looked at its event loop not once between two scrapes");
    // The daemon's longest may be from before, as the loading of the metrics is: then the bound is what is known.
    this.#longest = Math.max(this.#longest, Math.min(last.longest, highest));
  }

  /** In milliseconds; never less than it was. */
  get longest(): number {
    return this.#longest * 1000;
  }

  /** The least bound below which that part of the delays lies, or the longest where that is less. In milliseconds. */
  quantile(part: number): number {
    const total = [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
    let below = 0;
    for (const [bound, count] of this.#counts) {
      below += count;
      if (below >= part * total) return Math.min(bound, this.#longest) * 1000;
    }
    return this.longest;
  }
}

function readScrape(text: string): Scrape {
  const upTo = new Map<number, number>();
  for (const [, bound, count] of text.matchAll(new RegExp(`^${name}_seconds_bucket\\{le="([^"]+)"\\} (\\S+)$`, "gm")))
    upTo.set(bound === "+Inf" ? Number.POSITIVE_INFINITY : Number(bound), Number(count));
  const longest = new RegExp(`^${name}_longest_seconds (\\S+)$`, "m").exec(text)?.[1];
  if (upTo.size === 0 || longest === undefined)
    throw new Error("the daemon's metrics have no delays of its event loop");
  return { upTo, longest: Number(longest) };
}
