/** What a daemon is told: by its command line, then by the environment, then by default. Read here and nowhere else. */
import { readFileSync } from "node:fs";
import { availableParallelism, homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { parseStoreDirectory, type StoreDirectory } from "../../derivations/store-path.ts";
import { isAddressBlock } from "../../sandbox-native/address-block.ts";
import { defaultBlockedNetworks, type WayOutOptions } from "../../sandbox-native/way-out.ts";
import { thisProgram } from "../api/build-id.ts";
import { type BuildLimits, type LimitName, limitNames, limitRows, parseLimit } from "../api/build-limits.ts";
import { defaultStoreDirectory, socketOf } from "../api/socket-place.ts";
import { ServerError } from "./errors.ts";
import { type LogLevel, logLevels } from "./logger.ts";
import { makeTrustPolicy, type TrustPolicy } from "./trust.ts";

export interface DaemonConfig {
  readonly root: string;
  readonly storeDirectory: StoreDirectory;
  /** Logical. */
  readonly stateDirectory?: string;
  readonly socket: string;
  readonly maxJobs: number;
  /** 0: all. */
  readonly cores: number;
  readonly strength: Strength;
  /** Of builds of fixed outputs. */
  readonly network: Pick<WayOutOptions, "mode" | "blocked">;
  readonly limits: BuildLimits;
  /** Absent: by default. */
  readonly leastFreeBytes?: number;
  readonly leastFreeInodes?: number;
  readonly requireLimits: boolean;
  readonly controlGroupRoot: string;
  /** Ends when nobody was connected for so long; 0: never. */
  readonly idleExitMs: number;
  readonly drainMs: number;
  readonly maxConnections: number;
  readonly logLevel: LogLevel;
  readonly trust: TrustPolicy;
  readonly background: boolean;
  /** A descriptor on which to say that the daemon listens, or why it does not. */
  readonly readyDescriptor?: number;
  /** As whom to run, when started by root. */
  readonly user?: { readonly uid: number; readonly gid: number; readonly name: string };
}

export type Strength = (typeof strengths)[number];
const strengths = ["auto", "range", "root", "single"] as const;

export interface Place {
  readonly environment: NodeJS.ProcessEnv;
  readonly uid: number;
  readonly print: (text: string) => void;
  readonly printError: (text: string) => void;
}

/** Ends with a number where help, version or a wrong option leave nothing to do: the exit status. Throws CONFIG_ codes. */
export function readConfig(argv: readonly string[], place: Place = placeOfThisProcess()): DaemonConfig | number {
  const command = makeCommand(place);
  try {
    command.parse([...argv], { from: "user" });
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    throw error;
  }
  const flags = command.opts<Flags>();
  const user = flags.user === undefined ? undefined : findUser("--user", flags.user);
  if (user !== undefined && place.uid !== 0) throw new ServerError("CONFIG_USER_NEEDS_ROOT", { name: user.name });

  const root = flags.root === undefined ? ownRoot(place.environment) : resolve(flags.root);
  const storeDirectory = parseStoreDirectory(flags.storeDir ?? defaultStoreDirectory);
  const { stateDir: stateDirectory } = flags;
  const socket = socketOf({ root, storeDirectory, ...(stateDirectory === undefined ? {} : { stateDirectory }) });
  const allowed = flags.allowUser.includes("*") || (flags.allowUser.length === 0 && root === "/") ? "all" : undefined;
  return {
    root,
    storeDirectory,
    ...(stateDirectory === undefined ? {} : { stateDirectory }),
    socket: flags.socket === undefined ? socket : resolve(flags.socket),
    maxJobs: flags.maxJobs ?? availableParallelism(),
    cores: flags.cores,
    strength: flags.strength,
    network: { mode: flags.network, blocked: flags.blockedNetworks },
    limits: Object.fromEntries(
      limitNames.flatMap((name) => {
        const limit = flags[optionOf(limitRows[name].word)];
        return limit === undefined ? [] : [[name, limit]];
      }),
    ),
    ...(flags.minFree === undefined ? {} : { leastFreeBytes: flags.minFree }),
    ...(flags.minFreeInodes === undefined ? {} : { leastFreeInodes: flags.minFreeInodes }),
    requireLimits: flags.requireLimits,
    controlGroupRoot: flags.cgroupRoot ?? "auto",
    idleExitMs: (flags.idleExit ?? (flags.background ? 60 : 0)) * 1000,
    drainMs: flags.drain * 1000,
    maxConnections: flags.maxConnections,
    logLevel: flags.logLevel,
    trust: makeTrustPolicy(user?.uid ?? place.uid, {
      allowed: allowed ?? flags.allowUser.map((name) => findUser("--allow-user", name).uid),
      trusted: flags.trustUser.map((name) => findUser("--trust-user", name).uid),
    }),
    background: flags.background,
    ...(flags.readyFd === undefined ? {} : { readyDescriptor: flags.readyFd }),
    ...(user === undefined ? {} : { user }),
  };
}

function placeOfThisProcess(): Place {
  return {
    environment: process.env,
    uid: process.getuid?.() ?? 0,
    print: (text) => process.stdout.write(text),
    printError: (text) => process.stderr.write(text),
  };
}

/** As commander names it: "build-dir-size" is buildDirSize. */
type OptionOf<Word extends string> = Word extends `${infer First}-${infer Rest}`
  ? `${First}${Capitalize<OptionOf<Rest>>}`
  : Word;

function optionOf<Word extends string>(word: Word): OptionOf<Word> {
  return word.replace(/-./g, (text) => text.charAt(1).toUpperCase()) as OptionOf<Word>;
}

interface Flags extends Readonly<Partial<Record<OptionOf<(typeof limitRows)[LimitName]["word"]>, number>>> {
  readonly minFree?: number;
  readonly minFreeInodes?: number;
  readonly requireLimits: boolean;
  readonly cgroupRoot?: string;
  readonly root?: string;
  readonly storeDir?: string;
  readonly stateDir?: string;
  readonly socket?: string;
  readonly maxJobs?: number;
  readonly cores: number;
  readonly strength: Strength;
  readonly network: WayOutOptions["mode"];
  readonly blockedNetworks: readonly string[];
  readonly idleExit?: number;
  readonly drain: number;
  readonly maxConnections: number;
  readonly logLevel: LogLevel;
  readonly allowUser: readonly string[];
  readonly trustUser: readonly string[];
  readonly background: boolean;
  readonly readyFd?: number;
  readonly user?: string;
}

function makeCommand({ environment, print, printError }: Place): Command {
  const option = (flags: string, says: string, variable?: string) => {
    const made = new Option(flags, says);
    const value = variable === undefined ? undefined : environment[variable];
    // Set by hand and not by commander's env(): an empty variable counts as unset.
    return value === undefined || value === ""
      ? made
      : made.default(made.parseArg ? made.parseArg(value, undefined) : value);
  };
  const number = (flags: string, says: string, least: number, variable?: string) => {
    const made = new Option(flags, says).argParser(wholeNumber(least));
    const value = variable === undefined ? undefined : environment[variable];
    return value === undefined || value === ""
      ? made
      : made.default(readVariable(variable as string, value, wholeNumber(least)));
  };
  const several = (value: string, before: readonly string[]) => [...before, value];

  const limit = (name: LimitName, word: string, says: string) =>
    new Option(`--${word} <limit>`, says).argParser((value: string) => {
      const parsed = parseLimit(name, value);
      if (parsed === undefined) throw new InvalidArgumentError(`It cannot be ${limitRows[name].unit}.`);
      return parsed;
    });

  const command = new Command("cloisterd");
  for (const name of limitNames)
    command.addOption(limit(name, limitRows[name].word, `at most: ${limitRows[name].says}`));
  return command
    .description("The cloister daemon: serves one store over a Unix socket, and builds in jails.")
    .version(thisProgram().version, "--version")
    .helpOption("-h, --help", "show this help")
    .addOption(option("--root <dir>", "physical root of the store (default: a store of your own)", "CLOISTER_ROOT"))
    .addOption(
      option("--store-dir <dir>", `logical store directory (default: ${defaultStoreDirectory})`, "CLOISTER_STORE_DIR"),
    )
    .addOption(
      option("--state-dir <dir>", "logical state directory (default: var/cloister beside it)", "CLOISTER_STATE_DIR"),
    )
    .addOption(option("--socket <path>", "where to listen (default: in the state directory)", "CLOISTER_SOCKET"))
    .addOption(number("--max-jobs <n>", "builds at once (default: one for each processor)", 1))
    .addOption(number("--cores <n>", "processors that a build is told to use; 0: all", 0).default(0))
    .addOption(
      new Option("--strength <how>", "how builds are kept apart")
        .choices(strengths)
        .default(readChoice("CLOISTER_STRENGTH", environment["CLOISTER_STRENGTH"], strengths, "auto")),
    )
    .addOption(limit("memoryBytes", "min-free", "end builds when less is free on their disk (default: 64M)"))
    .addOption(number("--min-free-inodes <n>", "end builds when fewer inodes are free there (default: 1000)", 0))
    .addOption(new Option("--require-limits", "build nothing whose limits this machine cannot enforce").default(false))
    .addOption(
      option("--cgroup-root <group>", "where to make control groups; auto, none or a path", "CLOISTER_CGROUP_ROOT"),
    )
    .addOption(
      new Option("--network <mode>", "of builds of fixed outputs: where there is one, or fail without, or none")
        .choices(["auto", "required", "none"])
        .default("auto"),
    )
    .addOption(
      new Option("--blocked-networks <list>", "what they never reach, such as 169.254.0.0/16,10.0.0.0/8")
        .argParser(addressBlocks)
        .default(defaultBlockedNetworks, "link-local, metadata, multicast and reserved addresses"),
    )
    .addOption(
      number("--idle-exit <seconds>", "end when nobody was connected for so long; 0: never", 0, "CLOISTER_IDLE_EXIT"),
    )
    .addOption(number("--drain <seconds>", "how long running builds may go on after SIGTERM", 0).default(60))
    .addOption(number("--max-connections <n>", "connections at once", 1).default(1000))
    .addOption(new Option("--log-level <level>", "how much is logged").choices(logLevels).default("info"))
    .addOption(
      new Option("--allow-user <user>", "a user who may connect, or * for all").argParser(several).default([], "you"),
    )
    .addOption(
      new Option("--trust-user <user>", "a user who may add what cannot be checked")
        .argParser(several)
        .default([], "you"),
    )
    .addOption(new Option("--user <name>", "started by root: the user to run as, who gets the state directory"))
    .addOption(new Option("--background", "started by a client: log JSON, end when idle").default(false))
    .addOption(number("--ready-fd <n>", "a descriptor on which to say that the daemon listens", 3))
    .addHelpText("after", "\nExample:\n  cloisterd --root /srv/cloister --max-jobs 4 --allow-user '*'")
    .showSuggestionAfterError()
    .allowExcessArguments(false)
    .configureOutput({ writeOut: print, writeErr: printError })
    .exitOverride();
}

/** For commander: it shows what is thrown with the option's name. */
function wholeNumber(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^[0-9]+$/.test(text) || value < least || !Number.isSafeInteger(value))
      throw new InvalidArgumentError(`It must be a whole number, at least ${least}.`);
    return value;
  };
}

/** For commander, too. */
function addressBlocks(text: string): string[] {
  const blocks = text.split(",").filter((block) => block !== "");
  const wrong = blocks.find((block) => !isAddressBlock(block));
  if (wrong !== undefined) throw new InvalidArgumentError(`${wrong} is no network, such as 10.0.0.0/8 or fe80::/10.`);
  return blocks;
}

function readVariable(name: string, value: string, parse: (text: string) => number): number {
  try {
    return parse(value);
  } catch (error) {
    throw new ServerError("CONFIG_INVALID", { option: name, value, reason: (error as Error).message });
  }
}

function readChoice<Choice extends string>(
  name: string,
  value: string | undefined,
  choices: readonly Choice[],
  byDefault: Choice,
): Choice {
  if (value === undefined || value === "") return byDefault;
  const choice = choices.find((one) => one === value);
  if (choice === undefined)
    throw new ServerError("CONFIG_INVALID", { option: name, value, reason: `it is one of ${choices.join(", ")}` });
  return choice;
}

/** Source: XDG Base Directory Specification; a relative value counts as unset. */
function ownRoot(environment: NodeJS.ProcessEnv): string {
  const data = environment["XDG_DATA_HOME"];
  if (data !== undefined && isAbsolute(data)) return join(data, "cloister");
  return join(environment["HOME"] || homedir(), ".local", "share", "cloister");
}

/** By number, or by name in /etc/passwd. Source: passwd(5). Throws CONFIG_USER_UNKNOWN. */
function findUser(option: string, user: string): { readonly uid: number; readonly gid: number; readonly name: string } {
  for (const line of readFileSync("/etc/passwd", "utf8").split("\n")) {
    const [name, , uid, gid] = line.split(":");
    if (name === user || uid === user) return { name: name as string, uid: Number(uid), gid: Number(gid) };
  }
  if (/^[0-9]+$/.test(user)) return { name: user, uid: Number(user), gid: Number(user) };
  throw new ServerError("CONFIG_USER_UNKNOWN", { option, name: user });
}
