/** The programs that the kernel gets, run here on a machine of our own, say what the profiles say. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  actions,
  assemble,
  auditArchitectures,
  type Instruction,
  type Machine,
  machines,
} from "../../../../sandbox-native/seccomp/assemble.ts";
import {
  type Abi,
  decide,
  errnos,
  loadProfile,
  type Profile,
  profileNames,
  systemCalls,
} from "../../../../sandbox-native/seccomp/profile.ts";

interface Call {
  readonly architecture: number;
  readonly number: number;
  readonly args: readonly bigint[];
}

/** The kernel's classic BPF machine as far as our programs use it; throws where the kernel would refuse the program. */
function run(program: readonly Instruction[], call: Call): number {
  const data = Buffer.alloc(64);
  data.writeUInt32LE(call.number >>> 0, 0);
  data.writeUInt32LE(call.architecture, 4);
  for (const [index, value] of call.args.entries()) data.writeBigUInt64LE(value, 16 + 8 * index);
  let accumulator = 0;
  for (let at = 0; ; at += 1) {
    const step = program[at];
    if (step === undefined) throw new Error(`the program ends at ${at} without an answer`);
    const { code, jumpTrue, jumpFalse, value } = step;
    if (Math.max(jumpTrue, jumpFalse) > 255) throw new Error(`the jump at ${at} is too long for its 8 bits`);
    const branch = (isTrue: boolean) => {
      at += isTrue ? jumpTrue : jumpFalse;
    };
    if (code === 0x20) accumulator = data.readUInt32LE(value);
    else if (code === 0x54) accumulator = (accumulator & value) >>> 0;
    else if (code === 0x05) at += value;
    else if (code === 0x15) branch(accumulator === value);
    else if (code === 0x35) branch(accumulator >= value);
    else if (code === 0x45) branch((accumulator & value) !== 0);
    else if (code === 0x06) return value;
    else throw new Error(`no such instruction: ${code}`);
  }
}

function expected(profile: Profile, abi: Abi, call: Call, nestedUserNamespaces: boolean): number {
  const decision = decide(profile, abi, call.number, call.args, { nestedUserNamespaces });
  if (decision === "allow") return actions.allow;
  return actions.errno | errnos[decision === "unknown" ? "ENOSYS" : decision.errno];
}

const zeros = [0n, 0n, 0n, 0n, 0n, 0n];

describe.for(profileNames)("the profile %s", (name) => {
  const profile = loadProfile(name);

  test.for(
    (Object.keys(machines) as Machine[]).flatMap((machine) =>
      [false, true].flatMap((nested) => machines[machine].map((abi) => ({ machine, abi, nested }))),
    ),
  )(
    "as $machine's program answers each number of $abi as the data says (nested: $nested)",
    ({ machine, abi, nested }) => {
      const program = assemble(profile, machine, { nestedUserNamespaces: nested });
      expect(program.length).toBeLessThan(4096); // BPF_MAXINSNS
      for (let number = 0; number < 1024; number += 1) {
        const call = { architecture: auditArchitectures[abi], number, args: zeros };
        expect([number, run(program, call)]).toEqual([number, expected(profile, abi, call, nested)]);
      }
    },
  );

  test("whatever the arguments are, a call is answered as the data says", () => {
    const interesting = profile.refuse.flatMap(({ when }) =>
      when.flatMap((condition) =>
        "anyOf" in condition ? [condition.anyOf] : "oneOf" in condition ? condition.oneOf : condition.noneOf,
      ),
    );
    const argument = fc
      .tuple(
        fc.oneof(fc.constantFrom(...interesting), fc.integer({ min: 0, max: 0xffffffff })),
        fc.constantFrom(0n, 1n << 32n, 0xffffffffn << 32n),
      )
      .map(([low, high]) => BigInt(low) | high);
    const rows = profile.refuse.filter(({ when }) => when.length > 0).flatMap(({ calls }) => calls);
    const programs = new Map(
      (Object.keys(machines) as Machine[]).map((machine) => [
        machine,
        assemble(profile, machine, { nestedUserNamespaces: false }),
      ]),
    );
    const abiOf = fc.constantFrom(
      ...[...programs.keys()].flatMap((machine) => machines[machine].map((abi) => ({ machine, abi }))),
    );
    fc.assert(
      fc.property(
        abiOf,
        fc.constantFrom(...rows),
        fc.array(argument, { minLength: 6, maxLength: 6 }),
        ({ machine, abi }, name, args) => {
          const number = numberOf(name, abi);
          if (number === undefined) return;
          const call = { architecture: auditArchitectures[abi], number, args };
          expect(run(programs.get(machine) ?? [], call)).toBe(expected(profile, abi, call, false));
        },
      ),
      { numRuns: 2000 },
    );
  });
});

const build = loadProfile("build");
const plain = { nestedUserNamespaces: false };

test("x32, negative numbers, numbers to come and other architectures have no calls", () => {
  for (const machine of Object.keys(machines) as Machine[]) {
    const program = assemble(build, machine, plain);
    for (const abi of machines[machine])
      for (const number of [600, 1 << 20, 0x40000000, 0x40000001, 0x40000000 + 512, 0x7fffffff, 0x80000000, -1]) {
        const architecture = auditArchitectures[abi];
        expect(run(program, { architecture, number, args: zeros })).toBe(actions.errno | errnos.ENOSYS);
      }
    for (const architecture of [0, 0xc0000015, 0x40000000])
      expect(run(program, { architecture, number: 0, args: zeros })).toBe(actions.errno | errnos.ENOSYS);
  }
});

test("the inherited part and the last part refuse together what the whole does", () => {
  for (const machine of Object.keys(machines) as Machine[]) {
    const [whole, inherited, last] = (["whole", "inherited", "last"] as const).map((part) =>
      assemble(build, machine, plain, part),
    );
    for (const abi of machines[machine])
      for (let number = 0; number < 600; number += 1)
        for (const value of [0n, 0x7e020080n, 0o6000n, 40n, 0xffffffffn]) {
          const call = { architecture: auditArchitectures[abi], number, args: zeros.map(() => value) };
          const parts = [run(inherited ?? [], call), run(last ?? [], call)];
          // Of two filters the kernel takes the answer that allows less; ours never refuse with two errnos.
          const refusal = parts.find((answer) => answer !== actions.allow) ?? actions.allow;
          expect([abi, number, refusal]).toEqual([abi, number, run(whole ?? [], call)]);
        }
  }
});

test("what a jail installs itself is short, because the kernel takes time for each instruction", () => {
  for (const machine of Object.keys(machines) as Machine[])
    expect(assemble(build, machine, plain, "last").length).toBeLessThan(80);
});

const numberOf = (name: string, abi: Abi) => systemCalls.numbers[name]?.[abi];
