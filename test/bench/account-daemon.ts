/**
 * The daemon of the account: a real one, which notes when a build passes each of its steps. Started by account.ts with the
 * store's root and the socket; a message asks for what was noted since the last one.
 */
import { Daemon } from "../../daemon/server/daemon.ts";
import { type LocalService, openLocalService } from "../../daemon/server/local-service.ts";
import { openLogger } from "../../daemon/server/logger.ts";
import { makeTrustPolicy } from "../../daemon/server/trust.ts";
import type { Launcher } from "../../sandbox-native/launcher.ts";
import { watchCrashPoints } from "../../store/crash-points.ts";

/** What one build has noted: steps with their time on the machine's clock in microseconds, and the launcher's own account. */
export interface Noted {
  readonly steps: Readonly<Record<string, number>>;
  readonly launcher: Readonly<Record<string, number>>;
  /** Of the whole process so far, in microseconds. */
  readonly processorTime: number;
}

const [root, socket] = process.argv.slice(2) as [string, string];
let steps: Record<string, number> = {};
let launcherTimes: Readonly<Record<string, number>> = {};
const note = (step: string) => {
  steps[step] ??= Number(process.hrtime.bigint() / 1000n);
};

const service = await openLocalService({ root, maxJobs: 2 });
watchCrashPoints(note);
watchLauncher((service as LocalService & { readonly launcher: Launcher }).launcher);
const forCaller = service.forCaller.bind(service);
service.forCaller = (caller, owner) => {
  const view = forCaller(caller, owner);
  const build = view.build.bind(view);
  view.build = async (targets, options) => {
    note("requested");
    const results = await build(targets, options);
    note("ended");
    return results;
  };
  return view;
};

function watchLauncher(launcher: Launcher): void {
  const build = launcher.build.bind(launcher);
  launcher.build = async (order, options) => {
    note("prepared");
    const answer = await build(order, options);
    note("answered");
    launcherTimes = answer.timingsMicroseconds;
    return answer;
  };
}

const daemon = new Daemon({
  ...{ service, socket, mode: 0o600, maxConnections: 10, idleExitMs: 0 },
  trust: makeTrustPolicy(process.getuid?.() ?? 0, { allowed: { uids: [], gids: [] }, trusted: { uids: [], gids: [] } }),
  log: openLogger("silent", { readable: false }),
});
await daemon.start();
process.on("message", () => {
  const { user, system } = process.cpuUsage();
  process.send?.({ steps, launcher: launcherTimes, processorTime: user + system } satisfies Noted);
  steps = {};
});
process.once("disconnect", () => daemon.stop(0));
process.send?.("listening");
