/** `cloister config`: the daemon's settings and where each comes from; of one that runs, else of one that would start. */
import type { Command } from "commander";
import { printSource, type SettingValue } from "../../api/setting-values.ts";
import type { Context } from "../context.ts";
import type { Action } from "../main.ts";
import { findRunning } from "../running-daemon.ts";

export function addConfigCommand(program: Command, run: Action): void {
  program
    .command("config")
    .description("show the daemon's settings and where each comes from")
    .option("--set", "only what some file, variable or flag says")
    .addHelpText("after", "\nExample:\n  $ cloister config")
    .action((options: { set?: true }, command: Command) =>
      run(command, async (context) => {
        await using client = await findRunning(context);
        const running = client !== undefined;
        const all = running ? await client.querySettings({ signal: context.signal }) : await settingsOfAStart(context);
        const settings = options.set ? all.filter(({ source }) => source.kind !== "default") : all;
        if (context.json) {
          context.printJson({ running, settings });
          return 0;
        }
        if (!running) context.say("no daemon runs for this store; one that is started here would have these settings");
        for (const line of printSettings(settings)) context.print(line);
        return 0;
      }),
    );
}

/** TOML, with what is not set as comments. */
function printSettings(settings: readonly SettingValue[]): string[] {
  const rows = settings.map(({ name, value, source }) => ({
    text: value === undefined ? `# ${name}` : `${name} = ${printValue(value)}`,
    source: printSource(source),
  }));
  const widths = rows.map(({ text }) => text.length).filter((width) => width <= widest);
  const width = Math.max(0, ...widths);
  return rows.map(({ text, source }) => `${text.padEnd(width)}  # ${source}`);
}

/** Longer lines do not move all others' comments. */
const widest = 48;

function printValue(value: NonNullable<SettingValue["value"]>): string {
  if (typeof value !== "object") return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map((item) => JSON.stringify(item)).join(", ")}]`;
  const fields = Object.entries(value).map(([key, item]) => `${JSON.stringify(key)} = ${item}`);
  return fields.length === 0 ? "{}" : `{ ${fields.join(", ")} }`;
}

async function settingsOfAStart({ options }: Context): Promise<SettingValue[]> {
  // zod and the TOML parser: no other command needs them.
  const { describeSettings, resolveSettings } = await import("../../settings/resolve.ts");
  const { root, storeDir, stateDir, socket, strength } = options;
  const flags = { root, storeDir, stateDir, socket, strength };
  const file = process.env["CLOISTER_CONFIG"] || undefined;
  const environment = process.env;
  return describeSettings(resolveSettings({ flags, environment, background: true, ...(file && { file }) }));
}
