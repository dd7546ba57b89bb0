/**
 * Nix 0b29401: paths without temporary roots were collected while somebody still used them. Here a lease lasts as long as
 * the connection: clients add and build while another one collects all that is garbage, over and over.
 */
import { expect, test } from "vitest";
import { findWhyNoStrength } from "../../support/granted-strengths.ts";
import { LocalBuilds } from "../../support/local-builds.ts";
import { TestDaemon } from "../../support/test-daemon.ts";

const missing = await findWhyNoStrength();

test("Nix 0b29401: what a client was given stays while others collect, and goes when the client is gone", async ({
  skip,
}) => {
  skip(missing !== "", missing);
  await using daemon = await TestDaemon.start();
  let done = false;
  let freed = 0n;
  const collect = async () => {
    await using collector = await daemon.connect();
    while (!done) freed += (await collector.collectGarbage({ dryRun: false })).freedBytes;
    freed += (await collector.collectGarbage({ dryRun: false })).freedBytes;
  };
  const use = async (round: number) => {
    await using client = await daemon.connect();
    const local = await LocalBuilds.over(client, daemon.root);
    const first = await local.build({ name: "first", script: `echo ${round} > $out` });
    const second = await local.build({ name: "second", inputs: [first], script: `cat ${first.out()} > $out` });
    expect(await local.read(first.result.outputs["out"])).toBe(`${round}\n`);
    expect(await local.read(second.result.outputs["out"])).toBe(`${round}\n`);
  };
  const collecting = collect();
  const rounds = Array.from({ length: 12 }, (_, round) => round);
  for (let index = 0; index < rounds.length; index += 3) await Promise.all(rounds.slice(index, index + 3).map(use));
  done = true;
  await collecting;
  expect(freed).toBeGreaterThan(0n);
});
