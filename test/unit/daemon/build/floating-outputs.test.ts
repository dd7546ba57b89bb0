import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeFixedOutputPath, makeSourcePath } from "../../../../derivations/content-address.ts";
import { sha256 } from "../../../../derivations/hash.ts";
import type { Output } from "../../../../derivations/output.ts";
import { makePlaceholder } from "../../../../derivations/placeholder.ts";
import { hashPartOf, type StorePath } from "../../../../derivations/store-path.ts";
import { missingBusybox } from "../../../support/busybox.ts";
import { LocalBuilds } from "../../../support/local-builds.ts";
import { fileNar } from "../../../support/temporary-store.ts";

const floating: Output = { kind: "floating", method: "recursive", algorithm: "sha256" };
let builds: LocalBuilds;

describe.skipIf(missingBusybox)("floating outputs (needs a static busybox (busybox-static))", () => {
  beforeAll(async () => {
    builds = await LocalBuilds.open();
  });
  afterAll(() => builds?.[Symbol.asyncDispose]());

  const pathOf = (path: StorePath | undefined) => `${builds.directory}/${path}`;

  test("the path follows from the contents", async () => {
    const { result, drvPath } = await builds.build({
      name: "one",
      outputs: { out: floating },
      script: "echo 1 > $out",
    });
    const path = makeSourcePath(builds.directory, "one", sha256(fileNar("1\n")));
    expect(result).toMatchObject({ status: "built", outputs: { out: path } });
    expect(await builds.service.queryDerivationOutputs(drvPath)).toEqual({ out: path });
    const info = await builds.service.queryPathInfo(path);
    expect(info?.contentAddress).toEqual({ method: "recursive", hash: sha256(fileNar("1\n")) });
    const again = await builds.buildAll([{ kind: "built", drvPath, outputs: "all" }]);
    expect(again.result).toMatchObject({ status: "already-valid", outputs: { out: path } });
  });

  test("flat and other algorithms", async () => {
    const flat = { kind: "floating", method: "flat", algorithm: "sha256" } as const;
    const { result } = await builds.build({ name: "flat", outputs: { out: flat }, script: "echo 1 > $out" });
    const address = { method: "flat", hash: sha256("1\n") } as const;
    expect(result.outputs.out).toBe(makeFixedOutputPath(builds.directory, "flat", address));

    const sha1 = { kind: "floating", method: "recursive", algorithm: "sha1" } as const;
    const other = await builds.build({ name: "sha1", outputs: { out: sha1 }, script: "echo 1 > $out" });
    expect(other.result.error).toBeUndefined();
    const naming = await builds.build({ name: "naming", outputs: { out: sha1 }, script: "echo $out > $out" });
    expect(naming.result.error?.code).toBe("CONTENT_ADDRESS_REFERENCES");
  });

  test("the path of one that refers to itself follows from its contents without its own hash part, and from the places of that", async () => {
    const { result } = await builds.build({ name: "blank", outputs: { out: floating }, script: "echo $out > $out" });
    const blanked = fileNar(`${builds.directory}/${"\0".repeat(32)}-blank\n`);
    const place = Buffer.from(blanked).indexOf("\0".repeat(32));
    const hash = sha256(Buffer.concat([blanked, Buffer.from(`|${place}`)]));
    expect(result.outputs.out).toBe(makeSourcePath(builds.directory, "blank", hash, { others: [], self: true }));
  });

  test("a reference to itself is rewritten, and the path is the same wherever it was built", async () => {
    const first = await builds.build({ name: "self", outputs: { out: floating }, script: "echo me: $out > $out" });
    const { out } = first.result.outputs;
    expect(await builds.read(out)).toBe(`me: ${pathOf(out)}\n`);
    expect(await builds.references(out)).toEqual([out]);
    // another derivation, so another scratch path; the same contents but for that
    const second = await builds.build({ name: "self", outputs: { out: floating }, script: "echo 'me:' $out > $out" });
    expect(second.drvPath).not.toBe(first.drvPath);
    expect(second.result.outputs.out).toBe(out);
  });

  test("outputs that refer to each other get each other's final paths", async () => {
    const { result } = await builds.build({
      name: "two",
      outputs: { out: floating, lib: floating },
      script: "mkdir $lib; echo $lib > $lib/self; echo $lib $out > $out; ln -s $lib/self $lib/link",
    });
    const { out, lib } = result.outputs;
    expect(result.error).toBeUndefined();
    expect(await builds.read(out)).toBe(`${pathOf(lib)} ${pathOf(out)}\n`);
    expect(await builds.read(lib, "self")).toBe(`${pathOf(lib)}\n`);
    expect(await builds.references(out)).toEqual([out, lib].sort());
    expect(await builds.references(lib)).toEqual([lib]);
  });

  test("what depends on a floating output is resolved: the same path for it means that it is not built again", async () => {
    const make = async (comment: string) => {
      const input = await builds.derive({
        name: "input",
        outputs: { out: floating },
        script: `echo 1 > $out # ${comment}`,
      });
      const user = await builds.derive({
        name: "user",
        inputs: [input],
        variables: { input: input.out() },
        script: "cat $input > $out; echo $input >> $out",
      });
      return { input, user };
    };
    const first = await make("first");
    expect(first.user.derivation.outputs.get("out")).toEqual({ kind: "deferred" });
    const built = await builds.buildAll([first.user.target]);
    const input = (await builds.service.queryDerivationOutputs(first.input.drvPath)).out;
    expect(await builds.read(built.result.outputs.out)).toBe(`1\n${pathOf(input as StorePath)}\n`);
    expect(await builds.references(built.result.outputs.out)).toEqual([input]);

    const second = await make("second"); // another input derivation that comes out the same
    expect(second.user.drvPath).not.toBe(first.user.drvPath);
    const again = await builds.buildAll([second.user.target]);
    expect(again.result).toMatchObject({ status: "already-valid", outputs: built.result.outputs });
    expect(again.events.filter(({ kind }) => kind === "build-started")).toHaveLength(1); // the input alone
    expect(await builds.service.queryDerivationOutputs(second.user.drvPath)).toEqual(built.result.outputs);
  });

  test("a placeholder in the arguments, and a check of what was built", async () => {
    const { result, target } = await builds.build({
      name: "arguments",
      outputs: { out: floating },
      args: ["sh", "-ec", `echo ${makePlaceholder("out")} > ${makePlaceholder("out")}`],
    });
    const { out } = result.outputs;
    expect(await builds.read(out)).toContain(hashPartOf(out as StorePath));
    const check = await builds.buildAll([target], { mode: "check" });
    expect(check.result).toMatchObject({ status: "built", outputs: { out } });
  });
});
