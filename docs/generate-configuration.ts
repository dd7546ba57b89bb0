/** docs/configuration.md: every setting of the daemon, from the table in daemon/settings/table.ts. */
import { systemConfigurationFile } from "../daemon/api/socket-place.ts";
import { defaultOf, flagOf, rowOf, type SettingName, settingNames, variableOf } from "../daemon/settings/table.ts";

export function configurationPage(): string {
  return `${head}${settingNames.map(row).join("")}${tail}`;
}

const head = `# Configuration

The daemon takes each of its settings from the first of these that says something about it:

1. a flag of \`cloisterd\` (which is \`cloister daemon\`), such as \`--max-jobs 4\`;
2. an environment variable, such as \`CLOISTER_MAX_JOBS=4\`; an empty one counts as unset;
3. one configuration file, in [TOML](https://toml.io): the one that \`--config FILE\` or \`CLOISTER_CONFIG\` names; else
   \`${systemConfigurationFile}\` for the daemon of the system's store (\`--root /\`), and
   \`$XDG_CONFIG_HOME/cloister/cloister.toml\` (\`~/.config/…\`) for that of a store of your own;
4. the default.

A key that is no setting is refused, with its line and the nearest name that is one; so is a value that cannot be.

\`\`\`toml
maxJobs = 4
allowedUsers = ["@builders", "ada"]
trustedUsers = ["@wheel"]

[limits]
memory = "8G"
timeout = 7200     # seconds
silence = 1800
logSize = "64M"
\`\`\`

A client looks into the same file for \`root\`, \`storeDir\` and \`stateDir\` of a store of your own, and starts its daemon there;
\`socket\` is for daemons that you start yourself.

This page is made from the table of settings by \`npm run docs\`. ● in the last column: a running daemon takes a new value.

| in the file | value | flag | variable | by default | what it says | ● |
|---|---|---|---|---|---|---|
`;

const tail = `
Limits hold for every build, whatever it asks for: of this file, of a request and of a derivation the tightest counts. 0 is
no limit.

For sizes K, M, G and T may follow the number, in quotes. A path in the file is absolute.
`;

function row(name: SettingName): string {
  const { kind, says, reloadable } = rowOf(name);
  const flag = `--${flagOf(name)}${kind.placeholder === undefined ? "" : ` ${kind.placeholder}`}`;
  const cells = [
    code(name),
    kind.name,
    code(flag),
    code(variableOf(name)),
    defaultOf(name),
    says,
    reloadable ? "●" : "",
  ];
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|").replaceAll("*", "\\*")).join(" | ")} |\n`;
}

function code(text: string): string {
  return `\`${text}\``;
}
