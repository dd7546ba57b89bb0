/** `cloister status`: the daemon, its store, and what it does now. */
import type { Command } from "commander";
import { limitRows } from "../../api/build-limits.ts";
import type { StatusSizes } from "../../api/service.ts";
import type { SettingValue } from "../../api/setting-values.ts";
import type { Action } from "../main.ts";
import { cleanText } from "../terminal.ts";
import { count, printBytes, printDuration } from "../units.ts";

export function addStatusCommand(program: Command, run: Action): void {
  program
    .command("status")
    .description("show the daemon, its store, and what it does now")
    .addHelpText("after", "\nExample:\n  $ cloister status")
    .action((_options: object, command: Command) =>
      run(command, async (context) => {
        const service = await context.connect();
        const { signal } = context;
        const [status, settings] = await Promise.all([
          service.status({ signal, sizes: true }),
          service.querySettings({ signal }),
        ]);
        const limits = settings.filter(
          ({ name, value }) => name.startsWith("limits.") && value !== undefined && value !== 0,
        );
        if (context.json) {
          context.printJson({ ...status, limits: Object.fromEntries(limits.map(({ name, value }) => [name, value])) });
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
        if (status.sizes !== undefined) line("sizes", printSizes(status.sizes));
        line(
          "builds",
          `${status.runningBuilds} running, ${status.waitingBuilds} waiting, at most ${status.maxJobs} at once`,
        );
        line("limits", limits.length === 0 ? "none" : limits.map(printLimit).join(", "));
        line("strength", strengthText[status.strength]);
        line("system", status.system);
        line("clients", count(status.connections, "connection"));
        return 0;
      }),
    );
}

function printSizes({ storeBytes, databaseBytes, logBytes, moreLogs, freeBytes }: StatusSizes): string {
  const bytes = (number: number): string => printBytes(BigInt(number));
  const logs = `${moreLogs ? "more than " : ""}${bytes(logBytes)} of logs`;
  return `${bytes(storeBytes)} of paths, ${bytes(databaseBytes)} of databases, ${logs}; ${bytes(freeBytes)} free`;
}

/** "memory 4.0 GiB". */
function printLimit({ name, value }: SettingValue): string {
  const word = name.replace("limits.", "").replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  const row = Object.values(limitRows).find((row) => row.word === word);
  if (typeof value !== "number") return cleanText(`${word} ${String(value)}`);
  if (row?.unit === "size") return `${word} ${printBytes(BigInt(Math.round(value)))}`;
  return cleanText(row?.unit === "seconds" ? `${word} ${value} s` : `${word} ${value}`);
}

const strengthText = {
  range: "range: each build has a user of its own, and no root exists anywhere",
  root: "root: each build has a user of its own, given by root",
  single: "single: builds are apart by namespaces only (`cloister doctor` says how to get more)",
} as const;
