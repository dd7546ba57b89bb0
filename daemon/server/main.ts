/** The `cloisterd` command: reads its configuration, opens the store, listens, and ends when it is told to. */
import { chownSync, closeSync, mkdirSync, readdirSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { CloisterError } from "../../derivations/error.ts";
import type { StoreLayout } from "../../store/layout.ts";
import { ProtocolError } from "../api/errors.ts";
import { auditFileOf } from "../api/socket-place.ts";
import type { BuildSettings } from "../build/context.ts";
import { AuditLog } from "./audit-log.ts";
import { type DaemonConfig, readConfig } from "./config.ts";
import { Daemon } from "./daemon.ts";
import { LiveSettings } from "./live-settings.ts";
import { openLocalService } from "./local-service.ts";
import { errorFields, type Logger, openLogger } from "./logger.ts";
import { ServiceManager } from "./service-manager.ts";
import { admitsOthers } from "./trust.ts";

/** The exit status: 0 it ended in order, 1 it could not start or its launcher died, 2 wrong usage, 130 interrupted. */
export async function main(argv: readonly string[]): Promise<number> {
  let config: DaemonConfig | number;
  try {
    config = readConfig(argv);
  } catch (error) {
    if (!(error instanceof CloisterError)) throw error;
    process.stderr.write(`cloisterd: ${error.message} [${error.code}]\n  ${error.hint}\n`);
    return 2;
  }
  if (typeof config === "number") return config;

  const reread = () => {
    const again = readConfig(argv);
    if (typeof again === "number") throw new TypeError("the command line was understood at the start");
    return again;
  };
  const log = openLogger(config.logLevel, { readable: !config.background && process.stderr.isTTY === true });
  try {
    return await serve(config, reread, log);
  } catch (error) {
    const known = error instanceof CloisterError ? error : startFailure(error);
    report(config, { ready: false, error: known.toData() });
    if (known.code === "STORE_IN_USE" && config.background) log.info("another daemon has the store");
    else log.fatal({ ...errorFields(known), hint: known.hint }, "the daemon did not start");
    return 1;
  }
}

async function serve(config: DaemonConfig, reread: () => DaemonConfig, log: Logger): Promise<number> {
  const { root, storeDirectory, stateDirectory, socket, strength, network, maxJobs, shares, cores } = config;
  let daemon: Daemon | undefined;
  const ownUid = config.user?.uid ?? process.getuid?.() ?? 0;
  using manager = new ServiceManager(config.serviceManager, log);
  const rereadAndSay = () => manager.reloading(reread);
  const settings = new LiveSettings(config, rereadAndSay, (next) => {
    log.level = next.logLevel;
    service.reconfigure({ cores: next.cores, settings: settingsOf(next), blockedNetworks: next.network.blocked });
    daemon?.reconfigure({ ...connectionsOf(next, ownUid) });
  });
  const service = await openLocalService({
    ...{ root, storeDirectory, strength, network, maxJobs, shares, cores, log, settings: settingsOf(config) },
    controlGroupRoot: config.controlGroupRoot,
    ...(stateDirectory === undefined ? {} : { stateDirectory }),
    countConnections: () => daemon?.connections ?? 0,
    settingsOfDaemon: settings,
    onShutdown: (drainMs) => daemon?.stop(drainMs),
    onLauncherStarted: (layout) => becomeUser(config, layout),
  });
  const { listenDescriptor } = config.serviceManager;
  using audit = new AuditLog({ file: auditFileOf(config), log });
  daemon = new Daemon({
    ...{ service, socket, log, audit, ...connectionsOf(config, ownUid) },
    ...(listenDescriptor !== undefined && { listenDescriptor }),
    onStopping: (drainMs) => manager.stopping(drainMs),
  });
  try {
    await daemon.start();
  } catch (error) {
    await service[Symbol.asyncDispose]();
    throw error;
  }
  const status = watchForTheEnd(daemon, service.launcherEnded, settings, log);
  log.info(
    { socket, store: service.realStoreDirectory, strength: service.strength, maxJobs, pid: process.pid },
    "listening",
  );
  report(config, { ready: true });
  manager.ready(`serving ${service.realStoreDirectory}`);
  await daemon.stopped;
  log.info("ended");
  return status();
}

/** What the configuration says of all builds. */
function settingsOf(config: DaemonConfig): Partial<Omit<BuildSettings, "system">> {
  return {
    limits: config.limits,
    leastFreeBytes: config.leastFreeBytes,
    leastFreeInodes: config.leastFreeInodes,
    requireLimits: config.requireLimits,
  };
}

/** Resolves what the exit status is to be when the daemon has stopped. */
function watchForTheEnd(
  daemon: Daemon,
  launcherEnded: Promise<void>,
  settings: LiveSettings,
  log: Logger,
): () => number {
  let status = 0;
  const hasTerminal = process.stdin.isTTY === true || process.stderr.isTTY === true;
  launcherEnded.then(() => {
    if (daemon.isStopping) return;
    log.fatal("the launcher died; builds that were running are lost, and the next daemon starts another one");
    status = 1;
    daemon.stop(0);
  });

  let interrupts = 0;
  process.on("SIGINT", () => {
    if (++interrupts > 1) process.exit(130); // the launcher ends with us, and all jails with it
    status = 130;
    log.info("interrupted; once more to leave at once");
    daemon.stop(0);
  });
  process.on("SIGTERM", () => {
    const { drainMs } = settings.config;
    log.info({ drainMs }, "asked to end");
    daemon.stop(drainMs);
  });
  process.on("SIGHUP", () => {
    // A terminal that was closed: a daemon in its foreground ends with it. To any other it means to look again.
    if (hasTerminal) daemon.stop(settings.config.drainMs);
    else reload(settings, log);
  });
  return () => status;
}

function reload(settings: LiveSettings, log: Logger): void {
  try {
    log.info(settings.reload(), "read the configuration again");
  } catch (error) {
    log.error(errorFields(error), "the configuration stays as it was");
  }
}

/** Who may connect, and for how long nobody may. */
function connectionsOf({ trust, maxConnections, idleExitMs }: DaemonConfig, ownUid: number) {
  return { trust, maxConnections, idleExitMs, mode: admitsOthers(trust, ownUid) ? 0o666 : 0o600 };
}

/** Says on the descriptor that was given for it how the start went; whoever started us reads until it is closed. */
function report(config: DaemonConfig, words: object): void {
  if (config.readyDescriptor === undefined) return;
  try {
    writeSync(
      config.readyDescriptor,
      JSON.stringify(words, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value)),
    );
    closeSync(config.readyDescriptor);
  } catch {
    // Whoever started us is gone; others may still come.
  }
}

/**
 * Started by root for another user: the launcher, which keeps root's rights, runs by now. The state directory becomes
 * that user's, except for what the launcher writes, and so do we, before anything from a socket is read.
 */
function becomeUser({ user, socket }: DaemonConfig, layout: StoreLayout): void {
  if (user === undefined) return;
  const { uid, gid } = user;
  const launchers = new Set([layout.stagingDirectory, layout.trashDirectory, layout.buildsDirectory]);
  giveAway(layout.stateDirectory, launchers, uid, gid);
  mkdirSync(dirname(socket), { recursive: true });
  chownSync(dirname(socket), uid, gid);
  process.setgroups?.([gid]);
  process.setgid?.(gid);
  process.setuid?.(uid);
}

function giveAway(directory: string, except: ReadonlySet<string>, uid: number, gid: number): void {
  chownSync(directory, uid, gid);
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (except.has(path)) continue;
    if (entry.isDirectory()) giveAway(path, except, uid, gid);
    else if (entry.isFile()) chownSync(path, uid, gid);
  }
}

function startFailure(error: unknown): CloisterError {
  const reason = error instanceof Error ? error.message : String(error);
  return new ProtocolError("INTERNAL_ERROR", { method: "starting the daemon", reason }, { cause: error });
}
