/** The metrics as Prometheus reads them. Loads its library, so whoever has nobody to read them does without this module. */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Distribution } from "../../build/tallies.ts";

/** One metric and where its value comes from; asked at each scrape, and left out where it is undefined. */
export interface MetricSource {
  readonly name: string;
  readonly help: string;
  readonly value:
    | { readonly kind: "counter" | "gauge"; readonly read: () => number | undefined }
    | {
        readonly kind: "counter" | "gauge";
        readonly label: string;
        readonly read: () => Readonly<Record<string, number>>;
      }
    | { readonly kind: "distribution"; readonly read: () => Distribution };
}

export function makeRegistry(sources: readonly MetricSource[]): Registry {
  const registry = new Registry();
  for (const { name, help, value } of sources) {
    const common = { name, help, registers: [] as [] };
    if (value.kind === "distribution") {
      registry.registerMetric(new ReadHistogram({ ...common, buckets: [...value.read().bounds] }, value.read));
      continue;
    }
    const labelNames = "label" in value ? [value.label] : [];
    const read = "label" in value ? labelled(value.label, value.read) : single(value.read);
    const set = (target: Gauge | Counter) => {
      target.reset();
      if (labelNames.length === 0) target.remove(); // a value that is not known is no 0
      for (const [labels, amount] of read()) target.inc(labels, amount);
    };
    const metric =
      value.kind === "counter"
        ? new Counter({
            ...common,
            labelNames,
            collect() {
              set(this);
            },
          })
        : new Gauge({
            ...common,
            labelNames,
            collect() {
              set(this);
            },
          });
    registry.registerMetric(metric);
  }
  return registry;
}

type Sample = readonly [labels: Record<string, string>, amount: number];

function single(read: () => number | undefined): () => Sample[] {
  return () => {
    const amount = read();
    return amount === undefined ? [] : [[{}, amount]];
  };
}

function labelled(label: string, read: () => Readonly<Record<string, number>>): () => Sample[] {
  return () => Object.entries(read()).map(([name, amount]) => [{ [label]: name }, amount] as const);
}

/** A histogram whose counts were gathered elsewhere. */
class ReadHistogram extends Histogram {
  readonly #read: () => Distribution;
  readonly #about: { readonly name: string; readonly help: string };

  constructor(
    about: { readonly name: string; readonly help: string; readonly registers: []; readonly buckets: number[] },
    read: () => Distribution,
  ) {
    super(about);
    this.#read = read;
    this.#about = about;
  }

  /** What the registry prints, and what `get` gives. */
  getForPromString() {
    const { bounds, counts, sum } = this.#read();
    const { name, help } = this.#about;
    let count = 0;
    const buckets = counts.map((own, index) => {
      count += own;
      return { metricName: `${name}_bucket`, labels: { le: String(bounds[index] ?? "+Inf") }, value: count };
    });
    const values = [
      ...buckets,
      { metricName: `${name}_sum`, labels: {}, value: sum },
      { metricName: `${name}_count`, labels: {}, value: count },
    ];
    return { name, help, type: "histogram", values, aggregator: "sum" };
  }
}
