/** docs/examples, built for real: a reader who follows them gets what they promise. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Service, Status } from "../../../../daemon/api/service.ts";
import { resolveTarget } from "../../../../daemon/definitions/target.ts";
import { openLocal } from "../../../../daemon/server/local-service.ts";
import type { BuildResult } from "../../../../derivations/build-result.ts";
import type { DerivedPath } from "../../../../derivations/derived-path.ts";
import type { StorePath } from "../../../../derivations/store-path.ts";
import { makeFolder } from "./folder.ts";
import { type Loader, startLoader } from "./loader.ts";

const examples = new URL("../../../../docs/examples/", import.meta.url).pathname;
const cannotBuild = !existsSync("/usr/bin/gcc") || !existsSync("/usr/bin/bash");

const root = makeFolder();
let service: Service;
let status: Status;
let loader: Loader;

beforeAll(async () => {
  service = await openLocal({ root: root.path });
  status = await service.status();
  loader = startLoader();
});

afterAll(async () => {
  await service?.[Symbol.asyncDispose]();
  loader?.[Symbol.dispose]();
  root[Symbol.dispose]();
});

describe.skipIf(cannotBuild)("the example (needs gcc and bash)", () => {
  test("hello builds and runs on the host", async () => {
    const result = await build("hello/hello.ts");
    expect(run(result, "bin/hello")).toMatch(/^Hello from a build/);
  });

  test("greet's program refers to its library, and finds it on the host", async () => {
    const result = await build("greet/greet.ts");
    expect(run(result, "bin/greet", "Ada")).toBe("Good day, Ada.\n");
    const info = await service.queryPathInfo(outputOf(result));
    expect([...(info?.references ?? [])].filter((path) => path.endsWith("-libgreet-1.0"))).toHaveLength(1);
  });

  test("two-outputs has its headers apart, and the program keeps only what it runs with", async () => {
    const both = await build("two-outputs/two-outputs.ts");
    expect(Object.keys(both.outputs).sort()).toEqual(["dev", "out"]);
    const result = await build("two-outputs/two-outputs.ts#program");
    expect(run(result, "bin/print-sum")).toBe("42\n");
    const references = [...((await service.queryPathInfo(outputOf(result)))?.references ?? [])];
    expect(references).toContain(both.outputs["out"]);
    expect(references).not.toContain(both.outputs["dev"]);
  });

  test("fails fails with the compiler's message", async () => {
    const target = await resolve("fails/fails.ts");
    const log: Uint8Array[] = [];
    const [result] = await service.build([target], {
      ...options,
      onEvent: (event) => event.kind === "build-log" && log.push(event.bytes),
    });
    expect(result).toMatchObject({ status: "failed", error: { code: "BUILD_FAILED_EXIT" } });
    expect(Buffer.concat(log).toString()).toContain("forgotten");
  });

  test.each([
    ["json/hello.json", "hello/hello.ts"],
    ["json/greet.json#greet", "greet/greet.ts"],
    ["json/greet.json#library", "greet/greet.ts#library"],
  ])("%s is the same derivation as %s", async (json, typescript) => {
    expect(await resolve(json)).toEqual(await resolve(typescript));
  });
});

const options = { mode: "normal", keepGoing: false, cores: 0, timeoutMs: 0, silenceMs: 0 } as const;

async function resolve(example: string): Promise<DerivedPath> {
  const { targets, ...error } = await loader.load(example, examples);
  const [target] = targets ?? [];
  if (target === undefined) throw new Error(JSON.stringify(error));
  const { system, storeDirectory } = status;
  return resolveTarget(service, target, { system, storeDirectory, cacheDirectory: root.at("cache") });
}

async function build(example: string): Promise<BuildResult> {
  const [result] = await service.build([await resolve(example)], options);
  if (result === undefined) throw new Error("a build gives a result for each target");
  expect(result.error).toBeUndefined();
  return result;
}

function outputOf(result: BuildResult): StorePath {
  const path = result.outputs["out"];
  if (path === undefined) throw new Error("the output out is missing");
  return path;
}

/** Runs a program of an output where it really lies, and gives what it printed. */
function run(result: BuildResult, program: string, ...args: string[]): string {
  const ran = spawnSync(join(status.realStoreDirectory, outputOf(result), program), args, { encoding: "utf8" });
  expect({ status: ran.status, stderr: ran.stderr }).toEqual({ status: 0, stderr: "" });
  return ran.stdout;
}
