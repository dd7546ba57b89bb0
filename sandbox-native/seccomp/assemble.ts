/**
 * From a profile to a program for the kernel's classic BPF machine. The numbers of each ABI are a binary tree, so that a
 * call passes some ten instructions and not one for each row; that matters less when calls are made (the kernel
 * remembers which numbers are always allowed) than when a jail is: it then runs the program for every number there is.
 * Sources: Linux, include/uapi/linux/{filter,seccomp,audit}.h and Documentation/userspace-api/seccomp_filter.rst.
 */
import {
  type Abi,
  type Condition,
  errnos,
  type Options,
  type Profile,
  type Row,
  rowsFor,
  systemCalls,
} from "./profile.ts";

/** struct sock_filter. Jumps count the instructions that are left out. */
export interface Instruction {
  readonly code: number;
  readonly jumpTrue: number;
  readonly jumpFalse: number;
  readonly value: number;
}

const opcodes = {
  loadWord: 0x20, // BPF_LD | BPF_W | BPF_ABS
  jump: 0x05, // BPF_JMP | BPF_JA
  jumpEqual: 0x15, // BPF_JMP | BPF_JEQ | BPF_K
  jumpGreaterOrEqual: 0x35, // BPF_JMP | BPF_JGE | BPF_K
  jumpSet: 0x45, // BPF_JMP | BPF_JSET | BPF_K
  and: 0x54, // BPF_ALU | BPF_AND | BPF_K
  return: 0x06, // BPF_RET | BPF_K
} as const;

/** SECCOMP_RET_*. */
export const actions = { allow: 0x7fff0000, errno: 0x00050000 } as const;

/** AUDIT_ARCH_*. */
export const auditArchitectures: Readonly<Record<Abi, number>> = {
  x86_64: 0xc000003e,
  i386: 0x40000003,
  aarch64: 0xc00000b7,
  arm: 0x40000028,
};

/** What one machine's programs can use: the ABIs that its kernel may have. */
export const machines = { x86_64: ["x86_64", "i386"], aarch64: ["aarch64", "arm"] } as const satisfies Record<
  string,
  readonly Abi[]
>;
export type Machine = keyof typeof machines;

/**
 * What making a jail takes, on the thread that makes them or in the jail before it is one. "inherited" is the profile but
 * for the rows about these: that thread has it, and so has every jail from its first moment. "last" is those rows alone:
 * short, because a jail installs it itself, as its last step. Both together are "whole". The launcher makes no call of
 * the machine's second ABI, so there all rows are inherited.
 */
const callsOfTheMaking = new Set(
  (
    "clone clone3 fsconfig fsmount fsopen fspick keyctl mount move_mount open_tree openat2 pivot_root setdomainname " +
    "sethostname setns umount2 unshare"
  ).split(" "),
);
export type Part = "whole" | "inherited" | "last";

/** Offsets in struct seccomp_data; an argument's low half comes first on the machines that we know. */
const numberOffset = 0;
const architectureOffset = 4;
const argumentOffset = (index: number) => 16 + 8 * index;

/** The filter of a jail. Whoever comes in another way (another architecture, x32, a newer call) finds no such call. */
export function assemble(profile: Profile, machine: Machine, options: Options, part: Part = "whole"): Instruction[] {
  const program: Instruction[] = [load(architectureOffset)];
  for (const abi of machines[machine]) {
    const code = [load(numberOffset), ...assembleAbi(profile, abi, options, part, abi === machine)];
    program.push(test(opcodes.jumpEqual, auditArchitectures[abi], 1, 0), jump(code.length), ...code);
  }
  return [...program, part === "last" ? allow : refuse("ENOSYS")];
}

/** Numbers from `first` until the next one's are treated alike. */
interface Range {
  readonly first: number;
  readonly code: readonly Instruction[];
}

function assembleAbi(profile: Profile, abi: Abi, options: Options, part: Part, isNative: boolean): Instruction[] {
  const known = new Map<number, Instruction[]>();
  for (const [call, numbers] of Object.entries(systemCalls.numbers)) {
    const number = numbers[abi];
    const isOfTheMaking = isNative && callsOfTheMaking.has(call);
    const isOther = part !== "whole" && isOfTheMaking !== (part === "last");
    if (number !== undefined) known.set(number, isOther ? [allow] : assembleCall(rowsFor(profile, call, options)));
  }
  const ranges: Range[] = [];
  const add = (first: number, code: readonly Instruction[]) => {
    if (JSON.stringify(ranges.at(-1)?.code) !== JSON.stringify(code)) ranges.push({ first, code });
  };
  const unknown = [part === "last" ? allow : refuse("ENOSYS")];
  const numbers = [...known.keys()].sort((a, b) => a - b);
  for (const [index, number] of numbers.entries()) {
    if (number > (numbers[index - 1] ?? -1) + 1) add((numbers[index - 1] ?? -1) + 1, unknown);
    add(number, known.get(number) ?? unknown);
  }
  add((numbers.at(-1) ?? -1) + 1, unknown);
  return assembleTree(ranges);
}

function assembleTree(ranges: readonly Range[]): Instruction[] {
  const [only, second] = ranges;
  if (second === undefined) return [...(only?.code ?? [])];
  const middle = ranges.length >> 1;
  const below = assembleTree(ranges.slice(0, middle));
  const from = assembleTree(ranges.slice(middle));
  const first = ranges[middle]?.first ?? 0;
  // A conditional jump reaches 255 instructions at most.
  if (below.length <= 255) return [test(opcodes.jumpGreaterOrEqual, first, below.length, 0), ...below, ...from];
  return [test(opcodes.jumpGreaterOrEqual, first, 0, 1), jump(below.length), ...below, ...from];
}

function assembleCall(rows: readonly Row[]): Instruction[] {
  const code: Instruction[] = [];
  for (const row of rows) {
    const refusal = refuse(row.errno);
    if (row.when.length === 0) return [...code, refusal];
    // From behind: each condition that does not hold leaves out all that follows it in its row.
    let rest: Instruction[] = [refusal];
    for (const condition of row.when.toReversed()) rest = [...assembleCondition(condition, rest.length), ...rest];
    code.push(...rest);
  }
  return [...code, allow];
}

/** Goes on if the condition holds, else past the next `skipped` instructions. */
function assembleCondition(condition: Condition, skipped: number): Instruction[] {
  const loaded = [load(argumentOffset(condition.argument))];
  if ("anyOf" in condition) return [...loaded, test(opcodes.jumpSet, condition.anyOf, 0, skipped)];
  if (condition.mask !== undefined)
    loaded.push({ code: opcodes.and, jumpTrue: 0, jumpFalse: 0, value: condition.mask });
  if ("noneOf" in condition) {
    const { noneOf } = condition;
    const left = (index: number) => noneOf.length - 1 - index;
    return [...loaded, ...noneOf.map((value, index) => test(opcodes.jumpEqual, value, left(index) + skipped, 0))];
  }
  const { oneOf } = condition;
  const last = oneOf.length - 1;
  return [
    ...loaded,
    ...oneOf.map((value, index) => test(opcodes.jumpEqual, value, last - index, index === last ? skipped : 0)),
  ];
}

const allow: Instruction = { code: opcodes.return, jumpTrue: 0, jumpFalse: 0, value: actions.allow };
const load = (offset: number): Instruction => ({ code: opcodes.loadWord, jumpTrue: 0, jumpFalse: 0, value: offset });
const jump = (count: number): Instruction => ({ code: opcodes.jump, jumpTrue: 0, jumpFalse: 0, value: count });
const test = (code: number, value: number, jumpTrue: number, jumpFalse: number): Instruction => ({
  code,
  jumpTrue,
  jumpFalse,
  value,
});
const refuse = (errno: Row["errno"]): Instruction => ({
  code: opcodes.return,
  jumpTrue: 0,
  jumpFalse: 0,
  value: actions.errno | errnos[errno],
});

/** All calls that an ABI has, by their numbers: for the launcher's log of refusals. */
export function callNames(abi: Abi): [number, string][] {
  return Object.entries(systemCalls.numbers)
    .flatMap(([name, numbers]): [number, string][] => (numbers[abi] === undefined ? [] : [[numbers[abi], name]]))
    .sort(([a], [b]) => a - b);
}
