import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { launcherExecutable } from "../../../sandbox-native/binding.ts";
import { type JailSpec, jailSpecSchema } from "../../../sandbox-native/jail-spec.ts";
import { encodeBuildOrder } from "../../../sandbox-native/launcher-messages.ts";
import { noLimits, out, shellSpec, storeName } from "../../support/temporary-launcher.ts";

const golden = fileURLToPath(new URL("../../golden/jail/plan.txt", import.meta.url));

/** The system calls that the launcher would make, a line each. */
function printPlan(spec: JailSpec): string {
  const input = encodeBuildOrder({ spec, candidates: [], outputs: [] });
  return execFileSync(launcherExecutable(), ["--print-plan"], { input, encoding: "utf8" });
}

test("the plan of a plain build is the one that was read and found right", () => {
  const spec = shellSpec("true", { inputs: [storeName("1", "glibc")] });
  expect(printPlan(spec)).toBe(readFileSync(golden, "utf8"));
});

test("privileges are gone before the builder runs, and nothing comes after it", () => {
  const steps = printPlan(shellSpec("true")).trimEnd().split("\n");
  const at = (name: string) => steps.findIndex((step) => step.startsWith(name));
  const order = ["drop-bounding", "no-new-privileges", "root-read-only", "drop-capabilities", "exec"].map(at);
  expect(order).toEqual([...order].sort((a, b) => a - b));
  expect(order).not.toContain(-1);
  expect(at("exec")).toBe(steps.length - 1);
  expect(at("leave-old-root")).toBeLessThan(at("-- prepared"));
});

test("what a spec asks for has its step", () => {
  const rlimits = [{ resource: "nofile" as const, soft: 10n, hard: 20n }];
  const limited = printPlan(shellSpec("true", { limits: { ...noLimits, rlimits }, storeDirectory: "/nix/store" }));
  expect(limited).toContain("make-directory /nix\nmake-directory /nix/store\n");
  expect(limited).toContain("move-mount /nix/store\n");
});

describe("a spec is refused", () => {
  const wrong: [string, Partial<Record<keyof JailSpec, unknown>>, string][] = [
    ["with a path for an input", { inputs: ["a/b"] }, "inputs.0"],
    ["with .. for an output", { outputs: [".."] }, "outputs.0"],
    ["with a name over 255 bytes", { inputs: ["ä".repeat(128)] }, "inputs.0"],
    ["with a NUL in an argument", { args: [Buffer.from("a\0b")] }, "args.0"],
    ["with an environment entry that has no =", { environment: [Buffer.from("PATH")] }, "environment.0"],
    ["with a relative store directory", { storeDirectory: "store" }, "storeDirectory"],
    ["with a store directory that ends in a slash", { storeDirectory: "/store/" }, "storeDirectory"],
    ["with a host name that is none", { hostName: "a b" }, "hostName"],
    ["with a network", { network: "host" }, "network"],
    ["with an input that is an output too", { inputs: [out], outputs: [out] }, "outputs"],
    ["with a world that is no input", { world: storeName("w", "world") }, "world"],
    [
      "with a file outside of the build directory",
      { files: [{ name: "../x", contents: Buffer.alloc(0), executable: false }] },
      "files.0.name",
    ],
    ["with a negative time", { limits: { ...noLimits, wallTimeMs: -1 } }, "limits.wallTimeMs"],
    ["with something unknown in it", { privileged: true } as object, ""],
  ];
  test.for(wrong)("%s", ([, change, path]) => {
    const spec = { ...shellSpec("true"), ...change };
    const result = jailSpecSchema.safeParse(spec);
    expect(result.success).toBe(false);
    expect(result.error?.issues.map((issue) => issue.path.join("."))).toContain(path);
  });

  test("and one at each limit is not", () => {
    const inputs = ["ä".repeat(127), storeName("1", "input")];
    const spec = { ...shellSpec("true"), inputs, umask: 0o777, world: inputs[1], storeDirectory: "/s" };
    expect(jailSpecSchema.safeParse(spec).error).toBeUndefined();
  });
});

test("the launcher refuses an order that breaks the rules, whatever sends it", () => {
  const spec = shellSpec("true");
  const whole = encodeBuildOrder({ spec, candidates: [], outputs: [] });
  const broken = [
    whole.subarray(0, whole.length - 1),
    Buffer.concat([whole, Buffer.from([0])]),
    encodeBuildOrder({ spec: { ...spec, inputs: ["../etc"] }, candidates: [], outputs: [] }),
    encodeBuildOrder({ spec: { ...spec, storeDirectory: "/a/../../etc" }, candidates: [], outputs: [] }),
    encodeBuildOrder({ spec, candidates: ["short"], outputs: [] }),
    encodeBuildOrder({ spec, candidates: [], outputs: [{ name: "a/b" }] }),
    new Uint8Array(),
  ];
  expect(existsSync(launcherExecutable())).toBe(true);
  for (const input of broken) {
    const print = () => execFileSync(launcherExecutable(), ["--print-plan"], { input, stdio: "pipe" });
    expect(print).toThrow(expect.objectContaining({ status: 2 }));
  }
});
