/**
 * A profile says of every system call that is known whether a jail may make it, and if not with which errno it is refused
 * and why. Profiles are the JSON files beside this one; the launcher holds the filters that are made from them
 * (`src/linux/syscall-filter-tables.inc`), so nothing here runs in a daemon.
 */
import { readFileSync } from "node:fs";
import { z } from "zod";

export const abis = ["x86_64", "i386", "aarch64", "arm"] as const;
/** A way into the kernel with numbers of its own. x32 is x86_64's with a bit set that makes every number unknown. */
export type Abi = (typeof abis)[number];

export const profileNames = ["build", "fetch", "shell"] as const;
export type ProfileName = (typeof profileNames)[number];

/** The errnos that rows may have; the same numbers on all of `abis`. */
export const errnos = {
  EPERM: 1,
  ENOTTY: 25,
  ENOSYS: 38,
  EPROTONOSUPPORT: 93,
  ENOTSUP: 95,
  EAFNOSUPPORT: 97,
} as const;
export type ErrnoName = keyof typeof errnos;

/** A number of 32 bits, as C writes it but for octal: "0o6000". */
const word = z
  .string()
  .regex(/^(?:0|[1-9]\d*|0x[0-9a-f]+|0o[0-7]+)$/)
  .transform(Number)
  .pipe(z.number().int().min(0).max(0xffffffff));

const argument = z.number().int().min(0).max(5);
const values = z.array(word).min(1);

/** Of an argument only the low 32 bits are looked at: rows are about arguments that are `int` to the kernel. */
const conditionSchema = z.union([
  z.strictObject({ argument, anyOf: word }), // at least one of these bits is set
  z.strictObject({ argument, mask: word.optional(), oneOf: values }),
  z.strictObject({ argument, mask: word.optional(), noneOf: values }),
]);
export type Condition = z.infer<typeof conditionSchema>;

const calls = z.string().transform((text) => text.split(" "));

const rowSchema = z.strictObject({
  /** Unique; a row of a profile that extends another takes the place of the one with its name. */
  name: z.string().regex(/^[a-z0-9_-]+$/),
  calls,
  /** All must hold; without any the call is refused whatever its arguments. */
  when: z.array(conditionSchema).default([]),
  errno: z.enum(Object.keys(errnos) as [ErrnoName, ...ErrnoName[]]),
  why: z.string().min(5),
  /** The row does not hold in a jail whose spec asks for this. */
  unless: z.literal("nestedUserNamespaces").optional(),
});
export type Row = z.infer<typeof rowSchema>;

const profileSchema = z.strictObject({
  about: z.string(),
  extends: z.enum(profileNames).optional(),
  /** Names of rows of the extended profile that do not hold in this one. */
  lift: z.array(z.string()).default([]),
  allow: z.array(z.strictObject({ for: z.string(), calls })),
  refuse: z.array(rowSchema),
});

const systemCallsSchema = z.strictObject({
  newest: z.string(),
  sources: z.string(),
  numbers: z.record(z.string(), z.partialRecord(z.enum(abis), z.number().int().nonnegative())),
});

export interface Profile {
  readonly name: ProfileName;
  readonly about: string;
  readonly extends?: ProfileName;
  readonly lifted: readonly Row[];
  readonly allow: readonly { readonly for: string; readonly calls: readonly string[] }[];
  readonly refuse: readonly Row[];
}

const readJson = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`./${name}.json`, import.meta.url), "utf8"));

/** The numbers of all calls that are known, and how new the newest of them is. */
export const systemCalls = systemCallsSchema.parse(readJson("system-calls"));

/** A profile with what it takes from the one that it extends. Throws if the files contradict each other. */
export function loadProfile(name: ProfileName): Profile {
  const own = profileSchema.parse(readJson(name));
  const base = own.extends === undefined ? undefined : loadProfile(own.extends);
  const own_names = new Set(own.refuse.map((row) => row.name));
  const lifted = base?.refuse.filter((row) => own.lift.includes(row.name)) ?? [];
  const inherited = base?.refuse.filter((row) => !own.lift.includes(row.name) && !own_names.has(row.name)) ?? [];
  const profile: Profile = {
    name,
    about: own.about,
    ...(own.extends && { extends: own.extends }),
    lifted,
    allow: [...(base?.allow ?? []), ...own.allow],
    refuse: [...own.refuse, ...inherited],
  };
  if (lifted.length !== own.lift.length) throw new Error(`${name}.json lifts a row that is not there`);
  checkCalls(profile);
  return profile;
}

/** Each known call is decided about once: allowed, with or without conditions, or refused whatever its arguments. */
function checkCalls(profile: Profile): void {
  const conditional = profile.refuse.filter(({ when }) => when.length > 0);
  const whole = profile.refuse.filter(({ when }) => when.length === 0);
  const decided = [...profile.allow, ...whole, ...profile.lifted.filter(({ when }) => when.length === 0)].flatMap(
    ({ calls }) => calls,
  );
  const known = Object.keys(systemCalls.numbers);
  const wrong = [
    ...decided.filter((call, index) => decided.indexOf(call) !== index).map((call) => `${call} twice`),
    ...known.filter((call) => !decided.includes(call)).map((call) => `nothing of ${call}`),
    ...decided.filter((call) => !known.includes(call)).map((call) => `${call}, which is not known`),
    ...conditional
      .flatMap(({ calls }) => calls)
      .filter((call) => !profile.allow.some(({ calls }) => calls.includes(call)))
      .map((call) => `arguments of ${call}, which is refused`),
  ];
  if (wrong.length > 0) throw new Error(`${profile.name}.json says ${wrong.join(", ")}`);
}

export interface Options {
  readonly nestedUserNamespaces: boolean;
}

/** The rows about a call, in the order in which they are looked at; if none holds it is allowed. */
export function rowsFor(profile: Profile, call: string, options: Options): Row[] {
  return profile.refuse.filter((row) => row.calls.includes(call) && !(row.unless !== undefined && options[row.unless]));
}

export type Decision = "allow" | Row | "unknown";

/** What a profile says of a call; a number that no known call has is refused with ENOSYS ("unknown"). */
export function decide(
  profile: Profile,
  abi: Abi,
  number: number,
  args: readonly bigint[],
  options: Options,
): Decision {
  const call = Object.entries(systemCalls.numbers).find(([, numbers]) => numbers[abi] === number)?.[0];
  if (call === undefined) return "unknown";
  const rows = rowsFor(profile, call, options);
  return rows.find(({ when }) => when.every((condition) => holds(condition, args))) ?? "allow";
}

function holds(condition: Condition, args: readonly bigint[]): boolean {
  const low = Number((args[condition.argument] ?? 0n) & 0xffffffffn);
  if ("anyOf" in condition) return (low & condition.anyOf) !== 0;
  const value = condition.mask === undefined ? low : (low & condition.mask) >>> 0;
  return "oneOf" in condition ? condition.oneOf.includes(value) : !condition.noneOf.includes(value);
}
