/** What a daemon is told: its settings (daemon/settings), and how it is started, which only its command line says. */
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { parseStoreDirectory, type StoreDirectory } from "../../derivations/store-path.ts";
import type { WayOutOptions } from "../../sandbox-native/way-out.ts";
import { thisProgram } from "../api/build-id.ts";
import { type BuildLimits, limitNames } from "../api/build-limits.ts";
import { type Account, findMembers, findUser } from "../settings/accounts.ts";
import { SettingsError } from "../settings/errors.ts";
import { wholeNumber } from "../settings/kinds.ts";
import { type ResolvedSettings, resolveSettings } from "../settings/resolve.ts";
import {
  defaultOf,
  flagOf,
  limitSettingOf,
  rowOf,
  type SettingName,
  type Settings,
  settingNames,
  variableOf,
} from "../settings/table.ts";
import type { LogLevel } from "./logger.ts";
import { readServiceManagerWords, type ServiceManagerWords } from "./service-manager.ts";
import { makeTrustPolicy, type TrustPolicy } from "./trust.ts";

export interface DaemonConfig {
  readonly root: string;
  readonly storeDirectory: StoreDirectory;
  /** Logical. */
  readonly stateDirectory?: string;
  readonly socket: string;
  readonly maxJobs: number;
  /** By uid. */
  readonly shares: ReadonlyMap<number, number>;
  /** 0: all. */
  readonly cores: number;
  readonly strength: Settings["strength"];
  /** Of builds of fixed outputs. */
  readonly network: Pick<WayOutOptions, "mode" | "blocked">;
  readonly limits: BuildLimits;
  readonly leastFreeBytes: number;
  readonly leastFreeInodes: number;
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
  readonly user?: Account;
  readonly serviceManager: ServiceManagerWords;
  /** What all of this was made from. */
  readonly settings: ResolvedSettings;
}

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
  const given = command.opts<Flags>();
  const flags: Partial<Record<SettingName, unknown>> = {};
  for (const name of settingNames) flags[name] = given[attributeOf(name)];
  const file = given.config ?? (place.environment["CLOISTER_CONFIG"] || undefined);
  const { environment } = place;
  const { background } = given;
  const settings = resolveSettings({ flags, environment, background, ...(file !== undefined && { file }) });
  // What a client starts inherits the words that its client was told.
  const serviceManager = background ? {} : readServiceManagerWords(environment, process.pid);
  return { ...configOf(settings, given, place.uid), serviceManager };
}

/** The same settings as the daemon needs them. Throws CONFIG_ codes. */
function configOf(settings: ResolvedSettings, start: StartFlags, uid: number): Omit<DaemonConfig, "serviceManager"> {
  const { values } = settings;
  const user = values.user === undefined ? undefined : findUser("user", values.user);
  if (user !== undefined && uid !== 0 && user.uid !== uid)
    throw new SettingsError("CONFIG_USER_NEEDS_ROOT", { name: user.name });

  const { root, socket, stateDir: stateDirectory, allowedUsers } = values;
  return {
    root,
    socket,
    storeDirectory: parseStoreDirectory(values.storeDir),
    ...(stateDirectory !== undefined && { stateDirectory }),
    maxJobs: values.maxJobs,
    shares: new Map(
      values.shares.map((share) => {
        const [user = "", number] = share.split("=");
        return [findUser("shares", user).uid, Number(number)];
      }),
    ),
    cores: values.cores,
    strength: values.strength,
    network: { mode: values.network, blocked: values.blockedNetworks },
    limits: Object.fromEntries(
      limitNames.flatMap((name) => {
        const limit = values[limitSettingOf(name)];
        return limit === undefined ? [] : [[name, limit]];
      }),
    ),
    leastFreeBytes: values.minFree,
    leastFreeInodes: values.minFreeInodes,
    requireLimits: values.requireLimits,
    controlGroupRoot: values.cgroupRoot,
    idleExitMs: values.idleExit * 1000,
    drainMs: values.drain * 1000,
    maxConnections: values.maxConnections,
    logLevel: values.logLevel,
    trust: makeTrustPolicy(user?.uid ?? uid, {
      allowed: allowedUsers.includes("*") ? "all" : findMembers("allowedUsers", allowedUsers),
      trusted: findMembers("trustedUsers", values.trustedUsers),
    }),
    background: start.background,
    ...(start.readyFd !== undefined && { readyDescriptor: start.readyFd }),
    ...(user !== undefined && uid === 0 && { user }),
    settings,
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

interface StartFlags {
  readonly config?: string;
  readonly background: boolean;
  readonly readyFd?: number;
}

type Flags = StartFlags & Readonly<Record<string, unknown>>;

function makeCommand({ print, printError }: Place): Command {
  const command = new Command("cloisterd")
    .description("The cloister daemon: serves one store over a Unix socket, and builds in jails.")
    .version(thisProgram().version, "--version")
    .helpOption("-h, --help", "show this help")
    .option("--config <file>", "the file with its settings (CLOISTER_CONFIG; docs/configuration.md says which else)");
  for (const name of settingNames) for (const option of optionsOf(name)) command.addOption(option);
  return command
    .addOption(new Option("--background", "started by a client: log JSON, end when idle").default(false))
    .addOption(
      new Option("--ready-fd <n>", "a descriptor on which to say that the daemon listens").argParser(
        argument(wholeNumber(3).parse),
      ),
    )
    .addHelpText("after", "\nExample:\n  cloisterd --root /srv/cloister --max-jobs 4 --allow-user '*'")
    .showSuggestionAfterError()
    .allowExcessArguments(false)
    .configureOutput({ writeOut: print, writeErr: printError })
    .exitOverride();
}

/** The flag of a setting; a switch has one that turns it off, too, for what a file turned on. */
function optionsOf(name: SettingName): Option[] {
  const { kind, says } = rowOf(name);
  const flag = flagOf(name);
  const help = `${says} (default: ${defaultOf(name)}; ${variableOf(name)})`;
  if (kind.placeholder === undefined)
    return [new Option(`--${flag}`, help), new Option(`--no-${flag}`, `the opposite of --${flag}`).hideHelp()];
  const { parse, join } = kind;
  const read = argument(parse);
  const option = new Option(`--${flag} ${kind.placeholder}`, help);
  return [
    option.argParser(
      join === undefined
        ? read
        : (text, before?: unknown) => join(before === undefined ? [read(text)] : [before, read(text)]),
    ),
  ];
}

/** As commander names it: "build-dir-size" is buildDirSize. */
function attributeOf(name: SettingName): string {
  return flagOf(name).replace(/-./g, (text) => text.charAt(1).toUpperCase());
}

/** For commander: it shows what is thrown with the option's name. */
function argument<Value>(parse: (text: string) => Value): (text: string) => Value {
  return (text) => {
    try {
      return parse(text);
    } catch (error) {
      const reason = (error as Error).message;
      throw new InvalidArgumentError(`${reason.charAt(0).toUpperCase()}${reason.slice(1)}.`);
    }
  };
}
