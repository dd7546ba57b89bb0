/** What `cloister service` would change, as a list to show before anything is done, made from what is there now. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { CliError } from "../errors.ts";
import {
  initScript,
  type Program,
  serviceFolder,
  serviceUnit,
  serviceUser,
  settingsTemplate,
  socketUnit,
  subordinateIds,
  sysusersSnippet,
  tmpfilesSnippet,
} from "./texts.ts";

export type Step =
  | { readonly kind: "write"; readonly path: string; readonly mode: number; readonly text: string }
  | { readonly kind: "add-line" | "remove-line"; readonly path: string; readonly line: string }
  | { readonly kind: "remove"; readonly path: string }
  /** `optional`: its failure is told, and what follows is done all the same. */
  | { readonly kind: "run"; readonly command: readonly string[]; readonly optional?: true }
  /** Nothing is done: the reason why. */
  | { readonly kind: "keep"; readonly what: string; readonly why: string };

export interface Machine {
  /** Below which all paths of the plan lie: "/", or where a package is being made. */
  readonly rootDirectory: string;
  readonly manager: "systemd" | "init";
  readonly program: Program;
}

/** What an installation made, so that it can be taken away again. */
export interface Receipt {
  readonly version: string;
  readonly manager: Machine["manager"];
  readonly files: readonly { readonly path: string; readonly sha256: string }[];
  readonly lines: readonly { readonly path: string; readonly line: string }[];
}

export const receiptPath = "/etc/cloister/service.json";
export const settingsPath = "/etc/cloister/cloister.toml";

/** All files of an installation, for packagers, too. */
export function serviceFiles({ manager, program }: Pick<Machine, "manager" | "program">): Step[] {
  const write = (path: string, text: string, mode = 0o644): Step => ({ kind: "write", path, mode, text });
  return manager === "systemd"
    ? [
        write("/etc/systemd/system/cloister.service", serviceUnit(program)),
        write("/etc/systemd/system/cloister.socket", socketUnit),
        write("/etc/sysusers.d/cloister.conf", sysusersSnippet),
        write("/etc/tmpfiles.d/cloister.conf", tmpfilesSnippet),
        write(settingsPath, settingsTemplate),
      ]
    : [write("/etc/init.d/cloister", initScript(program), 0o755), write(settingsPath, settingsTemplate)];
}

/** What is as it should be already is not in it. Throws CLI_SERVICE_NO_IDS. */
export function planInstall(machine: Machine): Step[] {
  const { rootDirectory, manager } = machine;
  const isHere = rootDirectory === "/";
  const files = serviceFiles(machine).filter((step) => {
    if (step.kind !== "write") return true;
    const there = readIfThere(rootDirectory, step.path);
    return step.path === settingsPath ? there === undefined : there !== step.text;
  });
  const ids = planIds(rootDirectory);
  const run = (...command: string[]): Step => ({ kind: "run", command });
  const account = manager === "systemd" ? run("systemd-sysusers", "cloister.conf") : run(...addUserCommand);
  const hasAccount = accountExists(rootDirectory);
  const start =
    manager === "systemd"
      ? [
          run("systemd-tmpfiles", "--create", "cloister.conf"),
          run("systemctl", "daemon-reload"),
          run("systemctl", "enable", "--now", "cloister.socket"),
          // One that runs already does so with the old unit.
          run("systemctl", "try-restart", "cloister.service"),
        ]
      : [
          run("install", "-d", "-m", "755", "-o", serviceUser, "-g", serviceUser, serviceFolder),
          { ...run("update-rc.d", "cloister", "defaults"), optional: true as const },
          run("/etc/init.d/cloister", "start"),
        ];
  const changes = [...files, ...(isHere && !hasAccount ? [account] : []), ...ids];
  return isHere ? [...changes, ...start] : changes;
}

/** Takes away what the receipt names and nobody has changed since. The store, its user and changed files stay. */
export function planRemove(machine: Machine, receipt: Receipt): Step[] {
  const { rootDirectory } = machine;
  const isHere = rootDirectory === "/";
  const run = (...command: string[]): Step => ({ kind: "run", command, optional: true });
  const stop =
    receipt.manager === "systemd"
      ? [run("systemctl", "disable", "--now", "cloister.socket", "cloister.service")]
      : [run("/etc/init.d/cloister", "stop"), run("update-rc.d", "-f", "cloister", "remove")];
  const files = receipt.files.flatMap(({ path, sha256 }): Step[] => {
    const there = readIfThere(rootDirectory, path);
    if (there === undefined) return [];
    if (hashOf(there) === sha256) return [{ kind: "remove", path }];
    return [{ kind: "keep", what: path, why: "it was changed since it was installed" }];
  });
  const lines = receipt.lines.flatMap(({ path, line }): Step[] =>
    (readIfThere(rootDirectory, path) ?? "").split("\n").includes(line) ? [{ kind: "remove-line", path, line }] : [],
  );
  const kept: Step[] = [
    {
      kind: "keep",
      what: `${serviceFolder} and the user ${serviceUser}`,
      why: `they hold the store; to delete it: rm -rf ${serviceFolder} && userdel ${serviceUser}`,
    },
  ];
  const reload = receipt.manager === "systemd" ? [run("systemctl", "daemon-reload")] : [];
  return [
    ...(isHere ? stop : []),
    ...files,
    ...lines,
    { kind: "remove", path: receiptPath },
    ...(isHere ? [...reload, ...kept] : []),
  ];
}

/** A program below a home that is closed to others would not start as another user. Throws CLI_SERVICE_UNREACHABLE. */
export function assertReachable({ node, folder: ofPackage }: Program): void {
  for (const file of [node, ofPackage])
    for (let folder = dirname(file); ; folder = dirname(folder)) {
      if ((statSync(folder).mode & 0o001) === 0) throw new CliError("CLI_SERVICE_UNREACHABLE", { file, folder });
      if (folder === "/") break;
    }
}

/** Undefined where nothing was installed. */
export function findReceipt(rootDirectory: string): Receipt | undefined {
  const text = readIfThere(rootDirectory, receiptPath);
  return text === undefined ? undefined : (JSON.parse(text) as Receipt);
}

/** What an installation of these steps made, beside what earlier ones did. */
export function makeReceipt(machine: Machine, version: string, steps: readonly Step[]): Receipt {
  const before = findReceipt(machine.rootDirectory);
  const files = new Map(before?.files.map(({ path, sha256 }) => [path, sha256]));
  const lines = new Map(before?.lines.map((line) => [`${line.path}:${line.line}`, line]));
  for (const step of steps) {
    if (step.kind === "write") files.set(step.path, hashOf(step.text));
    if (step.kind === "add-line") lines.set(`${step.path}:${step.line}`, { path: step.path, line: step.line });
  }
  return {
    version,
    manager: machine.manager,
    files: [...files].map(([path, sha256]) => ({ path, sha256 })),
    lines: [...lines.values()],
  };
}

const addUserCommand = [
  ...["useradd", "--system", "--user-group", "--home-dir", serviceFolder, "--no-create-home"],
  ...["--shell", "/usr/sbin/nologin", serviceUser],
];

/** Above what systemd gives to containers (up to 0x6fffffff), below 2^31, from which on programs err. */
const firstId = 0x70000000;
const endOfIds = 0x7e000000;

/** Lines that give the service's user ranges of its own, the same of uids and gids where it has neither. */
function planIds(rootDirectory: string): Step[] {
  const files = ["/etc/subuid", "/etc/subgid"].map((path) => ({ path, ranges: readRanges(rootDirectory, path) }));
  const lacking = files.filter(
    ({ ranges }) => !ranges.some(({ owner, count }) => owner === serviceUser && count >= subordinateIds),
  );
  const taken = lacking.flatMap(({ ranges }) => ranges);
  for (let first = firstId; first < endOfIds; first += subordinateIds) {
    const isFree = taken.every((range) => range.first + range.count <= first || range.first >= first + subordinateIds);
    const line = `${serviceUser}:${first}:${subordinateIds}`;
    if (isFree) return lacking.map(({ path }) => ({ kind: "add-line", path, line }));
  }
  const file = join(rootDirectory, lacking.map(({ path }) => path).join(" or "));
  throw new CliError("CLI_SERVICE_NO_IDS", { file, count: subordinateIds });
}

/** Source: subuid(5). */
function readRanges(rootDirectory: string, path: string) {
  return (readIfThere(rootDirectory, path) ?? "").split("\n").flatMap((line) => {
    const [owner = "", first, count] = line.split(":");
    return first === undefined || count === undefined ? [] : [{ owner, first: Number(first), count: Number(count) }];
  });
}

function accountExists(rootDirectory: string): boolean {
  return (readIfThere(rootDirectory, "/etc/passwd") ?? "")
    .split("\n")
    .some((line) => line.startsWith(`${serviceUser}:`));
}

function readIfThere(rootDirectory: string, path: string): string | undefined {
  const file = join(rootDirectory, path);
  return existsSync(file) && statSync(file).isFile() ? readFileSync(file, "utf8") : undefined;
}

function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
