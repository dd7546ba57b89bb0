import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
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
import { busyboxTree, missingBusybox } from "../support/busybox.ts";
import { collectBytes } from "../support/collect.ts";
import { makeRandom, shuffled } from "../support/random.ts";
import { makeRemovable } from "../support/temporary-store.ts";

const graphSize = 1000;
const clientCount = 50;
/** A layer of this width stands on the one before it. */
const width = 20;

/**
 * Goal: however many clients ask for overlapping parts of one graph at once, each derivation is built once and every
 * answer is right.
 * Method: 50 connections, a graph of 1,000; each output holds its own number and those below it, so a wrong or missing
 * input shows in the contents. The build records are the count of what was really built.
 */
test("50 clients at once ask for overlapping targets of a graph of 1,000", { timeout: 600_000 }, async ({ skip }) => {
  skip(missingBusybox, "needs a static busybox (busybox-static)");
  const root = mkdtempSync(join(tmpdir(), "cloister-many-"));
  const clients = await Promise.all(Array.from({ length: clientCount }, () => connect({ root })));
  try {
    const [first] = clients;
    if (first === undefined) throw new Error("no client");
    const { storeDirectory: directory, system } = await first.status();
    const busybox = await first.addSource("busybox", { kind: "source", references: [] }, busyboxTree());
    const hashes = new Map<StorePath, DerivationModulo>();
    /** Full paths, by derivation. */
    const outputs = new Map<StorePath, string>();
    const drvPaths: StorePath[] = [];
    for (let index = 0; index < graphSize; index += 1) {
      const inputs = index < width ? [] : [drvPaths[index - width], drvPaths[index - width + 1 - (index % 2)]];
      const unique = [...new Set(inputs.filter((path) => path !== undefined))].sort();
      drvPaths.push(await addNode(index, unique));
    }

    const random = makeRandom(50);
    const answers = await Promise.all(
      clients.map(async (client) => {
        const targets = shuffled(drvPaths.slice(-5 * width), random).slice(0, 40);
        const results = await client.build(
          targets.map((drvPath) => ({ kind: "built", drvPath, outputs: "all" }) as const),
          { mode: "normal", keepGoing: false, cores: 1, timeoutMs: 0, silenceMs: 0 },
        );
        return { client, targets, results };
      }),
    );

    for (const { client, targets, results } of answers) {
      expect(results.map((result) => result.drvPath)).toEqual(targets);
      for (const result of results) {
        expect(["built", "already-valid"], JSON.stringify(result.error)).toContain(result.status);
        const index = drvPaths.indexOf(result.drvPath);
        const contents = await collectBytes(client.readFile(result.outputs.out as StorePath, ""));
        expect(Buffer.from(contents).toString()).toMatch(new RegExp(`^node ${index}\n`));
      }
    }
    const records = await first.queryBuildRecords({ limit: 10 * graphSize });
    const built = records.map((record) => record.drvPath);
    expect(new Set(built).size, "a derivation was built twice").toBe(built.length);
    expect(built.length).toBeGreaterThan(graphSize / 2);

    async function addNode(index: number, inputs: readonly StorePath[]): Promise<StorePath> {
      const text = (value: string): Uint8Array => Buffer.from(value, "utf8");
      const outputsOf = inputs.map((_, position) => `"$input${position}"`).join(" ");
      const derivation: Derivation = fillOutputs(
        directory,
        {
          name: `node-${index}`,
          outputs: new Map([["out", { kind: "deferred" }]]),
          inputDerivations: new Map(inputs.map((path) => [path, new Set(["out"])])),
          inputSources: new Set([busybox.path]),
          system,
          builder: text(`${printStorePath(directory, busybox.path)}/bin/busybox`),
          args: [
            "sh",
            "-ec",
            `{ echo "node ${index}"; for input in ${outputsOf}; do head -n 1 "$input"; done; } > $out`,
          ].map(text),
          environment: new Map(inputs.map((path, position) => [`input${position}`, text(outputs.get(path) ?? "")])),
        },
        makeHashOfInput(hashes),
      );
      const drvPath = await (first as NonNullable<typeof first>).addText(
        `${derivation.name}.drv`,
        printDerivation(directory, derivation),
        [...inputs, busybox.path].sort(),
      );
      hashes.set(drvPath, hashDerivationModulo(directory, derivation, makeHashOfInput(hashes)));
      outputs.set(drvPath, Buffer.from(derivation.environment.get("out") ?? "").toString());
      return drvPath;
    }
  } finally {
    await clients[0]?.shutdown({ drainMs: 0 });
    await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
    await makeRemovable(root);
    rmSync(root, { recursive: true, force: true });
  }
});
