/**
 * A client in a process of its own, that can be killed: adds the hostile builder and builds two derivations, one upon
 * the other. usage: client-under-test.ts ROOT BUILDER MARKER; it prints the results as JSON and exits 0, or the error.
 */

import { connect } from "../../daemon/library.ts";
import { printDerivation } from "../../derivations/aterm.ts";
import type { Derivation } from "../../derivations/derivation.ts";
import {
  type DerivationModulo,
  fillOutputs,
  hashDerivationModulo,
  makeHashOfInput,
} from "../../derivations/derivation-hash.ts";
import { printStorePath, type StorePath } from "../../derivations/store-path.ts";
import { dumpTree } from "../../sandbox-native/read-tree.ts";

const [root = "", builderFile = "", marker = ""] = process.argv.slice(2);

await using client = await connect({ root, start: false });
const { storeDirectory: directory, system } = await client.status();
const builder = await client.addSource("hostile-builder", { kind: "source", references: [] }, dumpTree(builderFile));
const hashes = new Map<StorePath, DerivationModulo>();
const first = await add("first", []);
const second = await add("second", [first]);
const results = await client.build([{ kind: "built", drvPath: second, outputs: "all" }], {
  mode: "normal",
  keepGoing: false,
  cores: 0,
  timeoutMs: 20_000,
  silenceMs: 0,
});
process.stdout.write(`${JSON.stringify(results)}\n`);
process.exitCode = results.every(({ status }) => status === "built" || status === "already-valid") ? 0 : 1;

async function add(name: string, after: readonly StorePath[]): Promise<StorePath> {
  const text = (value: string): Uint8Array => Buffer.from(value, "utf8");
  const derivation: Derivation = fillOutputs(
    directory,
    {
      name: `${name}-${marker}`,
      outputs: new Map([["out", { kind: "deferred" }]]),
      inputDerivations: new Map(after.map((path) => [path, new Set(["out"])])),
      inputSources: new Set([builder.path]),
      system,
      builder: text(printStorePath(directory, builder.path)),
      args: [text(marker)],
      environment: new Map(),
    },
    makeHashOfInput(hashes),
  );
  const drvPath = await client.addText(
    `${derivation.name}.drv`,
    printDerivation(directory, derivation),
    [...after, builder.path].sort(),
  );
  hashes.set(drvPath, hashDerivationModulo(directory, derivation, makeHashOfInput(hashes)));
  return drvPath;
}
