/** What can go wrong in the command line itself, before or after the daemon is asked. */
import { errorClass, row } from "../../derivations/error.ts";

export const cliErrors = {
  CLI_USAGE: row(
    (d: { problem: string; command?: string; guess?: string }) => d.problem,
    (d) =>
      `${d.guess === undefined ? "" : `Did you mean ${d.guess}? `}\`${d.command ?? "cloister COMMAND"} --help\` shows how it is used`,
  ),
  CLI_NUMBER_INVALID: row(
    (d: { option: string; value: string }) => `${d.option} takes a whole number, not "${d.value}"`,
    "Give a number such as 4",
  ),
  CLI_SIZE_INVALID: row(
    (d: { option: string; value: string }) => `${d.option} takes a size, not "${d.value}"`,
    "Give bytes, or a number with K, M, G or T, such as 500M",
  ),
  CLI_OUT_LINK_OCCUPIED: row(
    (d: { path: string }) => `${d.path} exists and is not a symbolic link, so the result link was not made there`,
    "Move it away, or choose another place with `--out-link PATH`, or none with `--no-link`",
  ),
  CLI_OUT_LINK_FAILED: row(
    (d: { path: string; reason: string }) => `the result link ${d.path} cannot be made: ${d.reason}`,
    "Choose another place with `--out-link PATH`, or none with `--no-link`",
  ),
  CLI_PATH_UNKNOWN: row(
    (d: { text: string; storeDirectory: string }) => `${d.text} is not in the store ${d.storeDirectory}`,
    "Name a path such as the ones that `cloister build` prints; a path may be logical, physical, or a result link",
  ),
  CLI_FILE_UNREADABLE: row(
    (d: { path: string; reason: string }) => `${d.path} cannot be read: ${d.reason}`,
    "Check the name and its permissions",
  ),
  CLI_TIME_INVALID: row(
    (d: { option: string; value: string }) => `${d.option} takes a time, not "${d.value}"`,
    "Give how long ago, such as 90s, 30m, 12h or 7d, or a date such as 2026-11-25 or 2026-11-25T08:30",
  ),
  CLI_USER_UNKNOWN: row(
    (d: { user: string }) => `this machine has no user ${d.user}`,
    "Give a name that /etc/passwd has, or a number",
  ),
  CLI_LOG_UNKNOWN: row(
    (d: { text: string }) => `no build is recorded for ${d.text}`,
    "Name a derivation, an output path, a build's id, or a name as in `cloister log hello-1.0`",
  ),
  CLI_SERVICE_NEEDS_ROOT: row(
    (_: { command: string }) => "only root can change this machine's services",
    (d) => `Run it as root: sudo cloister ${d.command}`,
  ),
  CLI_SERVICE_UNREACHABLE: row(
    (d: { file: string; folder: string }) =>
      `the service's user could not start ${d.file}: ${d.folder} is closed to other users`,
    "Install cloister and Node where all users reach them, such as with `sudo npm install --global`",
  ),
  CLI_SERVICE_NO_IDS: row(
    (d: { file: string; count: number }) => `${d.file} has no room for ${d.count} subordinate ids in one piece`,
    "Give the user cloister a range by hand, as in subuid(5), then try again",
  ),
  CLI_SERVICE_STEP_FAILED: row(
    (d: { step: string; reason: string }) => `this failed: ${d.step.replace(/ +/g, " ")}: ${d.reason}`,
    "Mend it and run the command again, or take away what was done with `cloister service remove`",
  ),
} as const;

export const CliError = errorClass(cliErrors, "CliError");
