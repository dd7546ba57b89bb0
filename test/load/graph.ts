/** A small graph of builds whose outputs tell whether each was built from the right inputs, and whose logs are known. */
import { setTimeout as sleep } from "node:timers/promises";
import type { StorePath } from "../../daemon/library.ts";
import type { Derived, LocalBuilds } from "../support/local-builds.ts";

export interface Node {
  readonly derived: Derived;
  /** What its output holds. */
  readonly contents: string;
  /** How many bytes its builder prints. */
  readonly logBytes: number;
  /** It, and what it needs. */
  readonly closure: ReadonlySet<StorePath>;
}

const width = 4;
const height = 3;
const loudBytes = 2 * 1024 * 1024;

/** Three layers of four; in each layer a quick one, a slow one, a loud one, and one that is quick again. */
export async function makeGraph(builds: LocalBuilds, salt: string): Promise<readonly Node[]> {
  const nodes: Node[] = [];
  for (let index = 0; index < width * height; index += 1) {
    const below = index < width ? [] : [nodes[index - width], nodes[index - width + 1 - (index % 2)]];
    const inputs = [...new Set(below.filter((node) => node !== undefined))];
    const name = `load-${salt}-${index}`;
    const work = ["", "sleep 0.05;", `yes | head -c ${loudBytes};`, ""][index % width];
    const shown = inputs.map(({ derived }) => derived.out()).join(" ");
    const derived = await builds.derive({
      name,
      script: `${work} { echo ${name}; for input in ${shown}; do head -n 1 $input; done; } > $out`,
      inputs: inputs.map((node) => node.derived),
    });
    nodes.push({
      derived,
      contents: [name, ...inputs.map(({ contents }) => contents.split("\n")[0]), ""].join("\n"),
      logBytes: index % width === 2 ? loudBytes : 0,
      closure: new Set([derived.drvPath, ...inputs.flatMap(({ closure }) => [...closure])]),
    });
  }
  return nodes;
}

/** Waits for what must come soon; false if it has not come when the time is over. */
export async function comesTrue(isTrue: () => Promise<boolean>, patienceMs: number): Promise<boolean> {
  for (const giveUpAtMs = performance.now() + patienceMs; ; await sleep(10)) {
    if (await isTrue()) return true;
    if (performance.now() > giveUpAtMs) return false;
  }
}
