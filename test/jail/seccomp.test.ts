/**
 * Goal: each row of the profiles has its errno, seen from inside of a jail, on every way into the kernel that this machine
 * has.
 * Method: a static program makes each refused call with arguments for which its row holds; the same program in a launcher
 * without the filter shows that it is the filter that answers.
 */
import { chmodSync, copyFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { JailSpec } from "../../sandbox-native/jail-spec.ts";
import type { BuildAnswer } from "../../sandbox-native/launcher.ts";
import {
  type Abi,
  type Condition,
  decide,
  errnos,
  loadProfile,
  type Options,
  type ProfileName,
  profileNames,
  type Row,
  rowsFor,
  systemCalls,
} from "../../sandbox-native/seccomp/profile.ts";
import { strengthsToTest } from "../support/granted-strengths.ts";
import { compileNativePrograms } from "../support/native-programs.ts";
import { StaticBuilders } from "../support/static-builders.ts";
import {
  makeTemporaryLauncher,
  noLimits,
  shellSpec,
  storeDirectory,
  storeName,
  type TemporaryLauncher,
} from "../support/temporary-launcher.ts";

interface Call {
  readonly about: string;
  readonly way: "native" | "int80" | "x32";
  readonly number: number;
  readonly args: readonly number[];
  readonly errno: number;
}

/** What each way into the kernel takes for its numbers. A program of 64 bits reaches 32-bit calls on x86_64 alone. */
const ways: readonly { readonly way: Call["way"]; readonly abi: Abi }[] =
  process.arch === "x64"
    ? [
        { way: "native", abi: "x86_64" },
        { way: "int80", abi: "i386" },
        { way: "x32", abi: "x86_64" },
      ]
    : [{ way: "native", abi: "aarch64" }];

/** The kernel does not ask filters about these; outside of a probe of its own they fail. */
const passByFilters = ["uprobe", "uretprobe"];

const program = storeName("c", "make-calls");
const plain: Options = { nestedUserNamespaces: false };
let builders: StaticBuilders;
beforeAll(() => {
  builders = new StaticBuilders(["make-calls"]);
});
afterAll(() => builders?.[Symbol.dispose]());

describe.for(await strengthsToTest())("in $strength strength", ({ strength, missing }) => {
  let here: TemporaryLauncher;
  beforeAll(async () => {
    if (missing !== "") return;
    here = await makeTemporaryLauncher({ strength });
    addProgram(here);
  });
  afterAll(() => here?.[Symbol.asyncDispose]());

  test.for(profileNames)("each row of the profile %s has its errno", async (name, { skip }) => {
    skip(missing !== "", missing);
    const calls = refusedCalls(name, plain);
    expect(calls.length).toBeGreaterThan(150);
    expect(await differing(here, calls, { profile: name })).toEqual([]);
  });

  test("nested user namespaces are there for a jail that asks for them, and what else is refused stays so", async ({
    skip,
  }) => {
    skip(missing !== "", missing);
    const seccomp = { profile: "build", nestedUserNamespaces: true } as const;
    expect(await differing(here, refusedCalls("build", { nestedUserNamespaces: true }), seccomp)).toEqual([]);
    const calls = [refused("unshare", [0x10000000], 0), refused("sethostname", [0, 0], errnos.EPERM)];
    expect(await differing(here, calls, seccomp)).toEqual([]);
  });

  test("arguments for which no row holds reach the kernel", async ({ skip }) => {
    skip(missing !== "", missing);
    const [badAddress, badDescriptor] = [14, 9];
    const mode = 0o1777;
    const calls = [
      refused("unshare", [0], 0), // no flags
      refused("personality", [0x40000], 0),
      refused("personality", [0xffffffff], 0),
      refused("socket", [1, 1, 0], 0),
      refused("socket", [2, 2 | 0o2000000, 17], 0), // a datagram socket that is closed by exec
      refused("socket", [16, 3, 0], 0),
      refused("socketpair", [1, 1, 0, 0], badAddress),
      refused("ioctl", [0xffffffff, 0x5401], badDescriptor),
      refused("fchmod", [0xffffffff, mode], badDescriptor),
      refused("openat", [0xffffff9c, 0, 0o101, mode], badAddress),
      refused("openat", [0xffffff9c, 0, 0, 0o6000], badAddress), // without O_CREAT the mode means nothing
      refused("mknodat", [0xffffff9c, 0, 0o10644], badAddress), // a FIFO
      ...(process.arch === "x64"
        ? [refused("chmod", [0, mode], badAddress), refused("creat", [0, mode], badAddress)]
        : []),
    ];
    expect(await differing(here, calls)).toEqual([]);
  });

  test("bits above those that the kernel reads make no difference", async ({ skip }) => {
    skip(missing !== "", missing);
    const high = 2 ** 40;
    const calls = [
      refused("ioctl", [0, high + 0x5412], errnos.EPERM),
      refused("socket", [high + 40, 1, 0], errnos.EAFNOSUPPORT),
      refused("fchmodat", [0xffffff9c, 0, high + 0o4755], errnos.EPERM),
      refused("unshare", [high + 0x10000000], errnos.EPERM),
    ];
    expect(await differing(here, calls)).toEqual([]);
  });

  test("numbers that no call has find none", async ({ skip }) => {
    skip(missing !== "", missing);
    const calls = ways.flatMap(({ way }) =>
      [700, 1023, 1_000_000].map((number) => ({ about: `${way} ${number}`, way, number, args: [], errno: 38 })),
    );
    expect(await differing(here, calls)).toEqual([]);
  });

  test("the log has each refused call by name, errno and number, and the builder sees the same errnos", async ({
    skip,
  }) => {
    skip(missing !== "", missing);
    const calls = [
      refused("keyctl", [0, 0], errnos.ENOSYS),
      refused("keyctl", [0, 0], errnos.ENOSYS),
      refused("unshare", [0x10000000], errnos.EPERM),
      refused("unshare", [0], 0),
      { ...refused("getpid", [], errnos.ENOSYS), number: 700 },
      refused("fchmodat", [0xffffff9c, 0, 0o4755], errnos.EPERM),
      ...(process.arch === "x64"
        ? [{ ...refused("keyctl", [], errnos.ENOSYS), way: "int80" as const, number: 288 }]
        : []),
    ];
    const answers: BuildAnswer[] = [];
    expect(await differing(here, calls, { log: true }, (answer) => answers.push(answer))).toEqual([]);
    expect(answers[0]?.refusedCalls).toEqual([
      { call: "call 700", errnoName: "ENOSYS", count: 1 },
      { call: "fchmodat", errnoName: "EPERM", count: 1 },
      { call: "keyctl", errnoName: "ENOSYS", count: process.arch === "x64" ? 3 : 2 },
      { call: "unshare", errnoName: "EPERM", count: 1 },
    ]);
    const { answer } = await here.run(shellSpec("true", { outputs: [], seccomp: { log: true } }));
    expect(answer).toMatchObject({ ending: { kind: "exited", code: 0 }, refusedCalls: [] });
    await here.launcher.discard([], [answer.view]);
  });

  test("a build whose refusals are counted can be cancelled, and its processes can be killed while they wait", async ({
    skip,
  }) => {
    skip(missing !== "", missing);
    const limits = { ...noLimits, wallTimeMs: 300 };
    const script = "while true; do mknod -m 4755 file p 2>/dev/null; done";
    const { answer } = await here.run(shellSpec(script, { outputs: [], seccomp: { log: true }, limits }));
    expect(answer.ending).toEqual({ kind: "timed-out" });
    await here.launcher.discard([], [answer.view]);
    expect(await here.shell("echo next")).toBe("next\n");
  });

  test("it is the filter that answers: without it the kernel says other things", async ({ skip }) => {
    skip(missing !== "", missing);
    compileNativePrograms("without");
    await using open = await makeTemporaryLauncher({ strength, without: ["seccomp"] });
    addProgram(open);
    const calls = refusedCalls("build", plain).filter(({ about }) => !about.includes("clone"));
    expect((await differing(open, calls)).length).toBeGreaterThan(calls.length / 4);
  }, 300_000);
});

function addProgram(here: TemporaryLauncher): void {
  copyFileSync(builders.path("make-calls"), join(here.store, program));
  chmodSync(join(here.store, program), 0o555);
}

/** A call of this machine's own ABI. */
function refused(name: string, args: readonly number[], errno: number): Call {
  const number = systemCalls.numbers[name]?.[process.arch === "x64" ? "x86_64" : "aarch64"] ?? -1;
  return { about: `${name} ${args.join(" ")}`, way: "native", number, args, errno };
}

/** Every refused call, on every way in, with arguments for each value and bit of its row. */
function refusedCalls(name: ProfileName, options: Options): Call[] {
  const profile = loadProfile(name);
  return ways.flatMap(({ way, abi }) =>
    Object.entries(systemCalls.numbers).flatMap(([call, numbers]) => {
      const number = numbers[abi];
      if (number === undefined || passByFilters.includes(call)) return [];
      return rowsFor(profile, call, options).flatMap((row) =>
        argumentsFor(row)
          .filter((args) => decide(profile, abi, number, args.map(BigInt), options) === row)
          .map((args) => ({
            about: `${way} ${call} ${args.join(" ")} (${row.name})`,
            way,
            number,
            args,
            errno: way === "x32" ? errnos.ENOSYS : errnos[row.errno],
          })),
      );
    }),
  );
}

function argumentsFor(row: Row): number[][] {
  let all: number[][] = [[0, 1, 0, 0, 0]]; // 1: a type of sockets that no row is about
  for (const condition of row.when)
    all = all.flatMap((args) => valuesFor(condition).map((value) => args.with(condition.argument, value)));
  return all;
}

/** Values for which a condition holds. */
function valuesFor(condition: Condition): number[] {
  if ("anyOf" in condition) {
    const { anyOf } = condition;
    return Array.from({ length: 32 }, (_, bit) => 2 ** bit).filter((bit) => (anyOf & bit) !== 0);
  }
  if ("oneOf" in condition) return condition.oneOf;
  return [3, 4, 5, 12, 17, 38, 40, 0x20000].filter(
    (value) => !condition.noneOf.includes(condition.mask === undefined ? value : value & condition.mask),
  );
}

/** Makes the calls in a jail, and says of each that did not end as expected how it did. */
async function differing(
  here: TemporaryLauncher,
  calls: readonly Call[],
  seccomp?: JailSpec["seccomp"],
  see?: (answer: BuildAnswer) => void,
): Promise<string[]> {
  const text = calls
    .map(({ way, number, args }) => [way, number, ...[...args, 0, 0, 0, 0, 0].slice(0, 5)].join(" "))
    .join("\n");
  const spec = {
    ...shellSpec("", { inputs: [program], outputs: [], ...(seccomp && { seccomp }) }),
    builder: Buffer.from(`${storeDirectory}/${program}`),
    files: [{ name: "calls", contents: Buffer.from(`${text}\n`), executable: false }],
  };
  const { answer, log } = await here.run(spec);
  await here.launcher.discard([], [answer.view]);
  expect(answer.ending).toEqual({ kind: "exited", code: 0 });
  see?.(answer);
  const results = log.trimEnd().split("\n").map(Number);
  expect(results).toHaveLength(calls.length);
  return calls.flatMap(({ about, errno }, index) =>
    results[index] === errno ? [] : [`${about}: ${results[index]} instead of ${errno}`],
  );
}
