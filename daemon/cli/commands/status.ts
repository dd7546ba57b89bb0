/** `cloister status`: the daemon, its store, and what it does now. */
import type { Command } from "commander";
import type { Action } from "../main.ts";
import { count, printDuration } from "../units.ts";

export function addStatusCommand(program: Command, run: Action): void {
  program
    .command("status")
    .description("show the daemon, its store, and what it does now")
    .addHelpText("after", "\nExample:\n  $ cloister status")
    .action((_options: object, command: Command) =>
      run(command, async (context) => {
        const service = await context.connect();
        const status = await service.status({ signal: context.signal });
        if (context.json) {
          context.printJson(status);
          return 0;
        }
        const line = (label: string, text: string): void =>
          context.print(`${context.paintOut.dim(label.padEnd(10))} ${text}`);
        line(
          "daemon",
          `cloister ${status.version}, pid ${status.pid}, up ${printDuration(Date.now() - status.startedAtMs)}`,
        );
        line("store", `${status.storeDirectory} in ${status.realStoreDirectory}, ${count(status.validPaths, "path")}`);
        line("state", status.stateDirectory);
        line(
          "builds",
          `${status.runningBuilds} running, ${status.waitingBuilds} waiting, at most ${status.maxJobs} at once`,
        );
        line("strength", strengthText[status.strength]);
        line("system", status.system);
        line("clients", count(status.connections, "connection"));
        return 0;
      }),
    );
}

const strengthText = {
  range: "range: each build has a user of its own, and no root exists anywhere",
  root: "root: each build has a user of its own, given by root",
  single: "single: builds are apart by namespaces only (`cloister doctor` says how to get more)",
} as const;
