/** `cloister ls`: what a store path holds. */
import type { Command } from "commander";
import { describeMissing, type NarListing } from "../../../derivations/nar/listing.ts";
import type { Context } from "../context.ts";
import { CliError } from "../errors.ts";
import type { Action } from "../main.ts";
import { parseStorePlace } from "../store-path-argument.ts";
import { cleanText } from "../terminal.ts";

export function addLsCommand(program: Command, run: Action): void {
  program
    .command("ls")
    .description("list what is in a store path")
    .argument("<path>", "a store path or a place inside one")
    .option("-l, --long", "show kinds and sizes")
    .option("-R, --recursive", "list directories inside directories")
    .addHelpText("after", "\nExample:\n  $ cloister ls ./result -lR")
    .action((text: string, options: { long?: boolean; recursive?: boolean }, command: Command) =>
      run(command, async (context) => {
        const service = await context.connect();
        const status = await service.status({ signal: context.signal });
        const place = parseStorePlace(text, context.cwd, status);
        const top = await service.readListing(place.path, { signal: context.signal });
        const listing = find(top, place.inside);
        if (listing === undefined)
          throw new CliError("CLI_FILE_UNREADABLE", {
            path: text,
            reason: describeMissing(top, place.inside) ?? "there is no such file in the store path",
          });
        if (context.json) context.printJson(listing);
        else show(context, listing, "", options);
        return 0;
      }),
    );
}

function find(listing: NarListing, inside: string): NarListing | undefined {
  let found: NarListing | undefined = listing;
  for (const name of inside.split("/").filter((part) => part !== ""))
    found = found?.type === "directory" ? ownEntry(found.entries, name) : undefined;
  return found;
}

function ownEntry(entries: Readonly<Record<string, NarListing>>, name: string): NarListing | undefined {
  return Object.hasOwn(entries, name) ? entries[name] : undefined;
}

function show(
  context: Context,
  listing: NarListing,
  prefix: string,
  options: { long?: boolean; recursive?: boolean },
): void {
  if (listing.type !== "directory") {
    context.print(describe(context, listing, prefix === "" ? "." : prefix, options.long === true));
    return;
  }
  // Depth of a store object is bounded at 64 levels, so recursion is.
  for (const [name, entry] of Object.entries(listing.entries)) {
    const path = prefix === "" ? name : `${prefix}/${name}`;
    context.print(describe(context, entry, path, options.long === true));
    if (options.recursive === true && entry.type === "directory") show(context, entry, path, options);
  }
}

function describe(context: Context, entry: NarListing, name: string, long: boolean): string {
  const { paintOut } = context;
  const shown = cleanText(name);
  const target = entry.type === "symlink" ? ` -> ${cleanText(entry.target)}` : "";
  const painted = entry.type === "directory" ? paintOut.bold(`${shown}/`) : `${shown}${long ? target : ""}`;
  if (!long) return painted;
  const kind =
    entry.type === "directory" ? "d" : entry.type === "symlink" ? "l" : entry.executable === true ? "x" : "-";
  const size = entry.type === "regular" ? String(entry.size) : "";
  return `${kind} ${size.padStart(12)} ${painted}`;
}
