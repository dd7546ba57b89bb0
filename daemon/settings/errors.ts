/** What is wrong with a daemon's configuration. */
import { errorClass, row } from "../../derivations/error.ts";

export const settingsErrors = {
  CONFIG_INVALID: row(
    (d: { option: string; value: string; reason: string }) =>
      `${d.option} cannot be ${JSON.stringify(d.value)}: ${d.reason}`,
    "`cloisterd --help` lists the options and their values",
  ),
  CONFIG_FILE_UNREADABLE: row(
    (d: { file: string; reason: string }) => `the configuration file ${d.file} cannot be read: ${d.reason}`,
    "Check that it exists and that the daemon's user may read it, or name another one with --config",
  ),
  CONFIG_FILE_SYNTAX: row(
    (d: { file: string; line: number; column: number; reason: string }) =>
      `${d.file}:${d.line}:${d.column}: this is not TOML: ${d.reason}`,
    "Mend that line; docs/configuration.md has an example of a whole file",
  ),
  CONFIG_FILE_INVALID: row(
    (d: { file: string; faults: readonly { readonly line: number; readonly says: string }[] }) =>
      d.faults.map(({ line, says }) => `${d.file}:${line}: ${says}`).join("\n"),
    "`cloister config` lists the settings and where each comes from; docs/configuration.md says what they mean",
  ),
  CONFIG_USER_UNKNOWN: row(
    (d: { option: string; name: string }) =>
      `${d.option} names the user ${JSON.stringify(d.name)}, who is not in /etc/passwd`,
    "Make the user first, or give the id as a number",
  ),
  CONFIG_GROUP_UNKNOWN: row(
    (d: { option: string; name: string }) =>
      `${d.option} names the group ${JSON.stringify(d.name)}, which is not in /etc/group`,
    "Make the group first, or give its id as a number, such as @100",
  ),
  CONFIG_USER_NEEDS_ROOT: row(
    (d: { name: string }) => `only root can run the daemon as another user, such as ${d.name}`,
    "Start it as root, or as that user without --user",
  ),
} as const;

export const SettingsError = errorClass(settingsErrors, "SettingsError");
