/** docs/seccomp.md, for people, and the launcher's tables, both from the profiles in sandbox-native/seccomp. */
import {
  assemble,
  callNames,
  type Instruction,
  type Machine,
  machines,
  type Part,
} from "../sandbox-native/seccomp/assemble.ts";
import {
  type Condition,
  loadProfile,
  type Profile,
  profileNames,
  type Row,
  systemCalls,
} from "../sandbox-native/seccomp/profile.ts";

export function seccompPage(): string {
  const [build, ...others] = profileNames.map(loadProfile);
  if (build === undefined) return head;
  return [head, aboutBuild(build), ...others.map((profile) => aboutExtended(profile, build))].join("\n");
}

const head = `# System calls

A jail's system calls are filtered by the kernel (seccomp). Every call that Linux has is decided about, by name, for
x86_64, i386 (\`int 0x80\`), aarch64 and 32-bit arm. What nobody decided about fails with \`ENOSYS\`: calls newer than
${systemCalls.newest}, numbers that no call has, all of x32, and every other architecture. An argument is looked at where
the table says so; as the kernel takes it for an \`int\`, its upper half does not count. [jail.md](jail.md) says how a
filter gets into a jail, and [decisions/0008-seccomp.md](decisions/0008-seccomp.md) why it does so in two parts.

\`cloister build --seccomp-log\` names the calls that a build was refused. Rows marked ¹ do not hold in a jail whose spec
has \`nestedUserNamespaces\`.

This page is made from \`sandbox-native/seccomp/*.json\` by \`npm run docs\`.
`;

function aboutBuild(profile: Profile): string {
  const allowed = profile.allow.map(({ for: purpose, calls }) => `- **${purpose}**: ${calls.map(code).join(" ")}\n`);
  return `## The profile \`build\`

${profile.about}

### Refused

${tableOf(profile.refuse)}
### Allowed

${allowed.join("")}`;
}

function aboutExtended(profile: Profile, base: Profile): string {
  const changed = profile.refuse.filter(
    (row) => !base.refuse.some(({ name, why }) => name === row.name && why === row.why),
  );
  const lifted = profile.lifted.map(({ name }) => `\`${name}\``).join(", ");
  return `## The profile \`${profile.name}\`

${profile.about}
${lifted === "" ? "" : `\nRows of \`${base.name}\` that do not hold here: ${lifted}.\n`}
${changed.length === 0 ? "" : tableOf(changed)}`;
}

function tableOf(rows: readonly Row[]): string {
  const lines = rows.map(({ name, calls, when, errno, why, unless }) => {
    const mark = unless === undefined ? "" : " ¹";
    return `| \`${name}\`${mark} | ${calls.map(code).join(" ")} | ${when.map(conditionText).join("; ")} | \`${errno}\` | ${why} |\n`;
  });
  return `| row | calls | if | errno | why |\n|---|---|---|---|---|\n${lines.join("")}`;
}

const code = (text: string) => `\`${text}\``;

function conditionText(condition: Condition): string {
  const name = `argument ${condition.argument + 1}`;
  if ("anyOf" in condition) return `${name} has a bit of ${hex(condition.anyOf)}`;
  const value = condition.mask === undefined ? name : `${name} & ${hex(condition.mask)}`;
  if ("oneOf" in condition) return `${value} is one of ${condition.oneOf.map(hex).join(", ")}`;
  return `${value} is none of ${condition.noneOf.map(hex).join(", ")}`;
}

const hex = (value: number) => (value < 1000 ? String(value) : `0x${value.toString(16)}`);

/** src/linux/syscall-filter-tables.inc: the programs and names that the launcher is compiled with. */
export function seccompTables(): string {
  const sections = (Object.keys(machines) as Machine[]).map(
    (machine) => `#if defined(__${machine}__)\n${machineTables(machine)}#endif\n`,
  );
  return `// Made from seccomp/*.json by \`npm run docs\`: what profiles are as programs for the kernel, and the names of calls.\n\n${sections.join("\n")}`;
}

function machineTables(machine: Machine): string {
  const programs = profileNames.flatMap((name) =>
    [false, true].map((nestedUserNamespaces) => {
      const program = assemble(loadProfile(name), machine, { nestedUserNamespaces });
      return array(`${camelCase(name)}${nestedUserNamespaces ? "Nested" : ""}`, program);
    }),
  );
  const parts = (["inherited", "last"] as const satisfies Part[]).map((part) =>
    array(camelCase(part), assemble(loadProfile("build"), machine, { nestedUserNamespaces: false }, part)),
  );
  const names = machines[machine].map((abi, index) => {
    const rows = callNames(abi).map(([number, name]) => `{${number}, "${name}"}`);
    return `constexpr CallName k${index === 0 ? "Native" : "Second"}Calls[] = {\n${wrap(rows)}};\n`;
  });
  return [...programs, ...parts, ...names].join("");
}

function array(name: string, program: readonly Instruction[]): string {
  const rows = program.map((i) => `{${i.code}, ${i.jumpTrue}, ${i.jumpFalse}, ${i.value}}`);
  return `constexpr sock_filter k${name}[] = {\n${wrap(rows)}};\n`;
}

const camelCase = (name: string) => name.charAt(0).toUpperCase() + name.slice(1);

/** Lines of at most 120 columns. */
function wrap(items: readonly string[]): string {
  const lines: string[] = [];
  for (const item of items) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + item.length + 3 <= 120) lines[lines.length - 1] = `${last} ${item},`;
    else lines.push(`    ${item},`);
  }
  return `${lines.join("\n")}\n`;
}
