/** `cloister roots`: what keeps paths alive; adding and removing permanent roots. */
import type { Command } from "commander";
import { printStorePath } from "../../../derivations/store-path.ts";
import { placeJson, rootsJson } from "../json-output.ts";
import type { Action } from "../main.ts";
import { parseStorePlace } from "../store-path-argument.ts";
import { cleanText } from "../terminal.ts";
import { assertNoUnknownVerb } from "../usage.ts";

export function addRootsCommand(program: Command, run: Action): void {
  const roots = program
    .command("roots")
    .description("list what keeps paths alive; add or remove roots")
    .addHelpText(
      "after",
      "\nExample:\n  $ cloister roots\n  $ cloister roots add my-tools ./result\n  $ cloister roots remove my-tools",
    )
    .allowExcessArguments()
    .action((_options: object, command: Command) =>
      run(command, async (context) => {
        assertNoUnknownVerb(command);
        const service = await context.connect();
        const status = await service.status({ signal: context.signal });
        const found = await service.listRoots({ signal: context.signal });
        if (context.json) context.printJson(rootsJson(found, status));
        else {
          for (const root of found) {
            const note = root.unreadable ? context.paintOut.yellow(" (unreadable, counts as alive)") : "";
            const kind = context.paintOut.dim(root.kind.padEnd(9));
            context.print(
              `${kind} ${cleanText(root.from)} -> ${printStorePath(status.storeDirectory, root.path)}${note}`,
            );
          }
          if (found.length === 0) context.say("there are no roots: `cloister gc` would delete all that is not in use");
        }
        return 0;
      }),
    );
  roots
    .command("add")
    .description("keep a path under a name until the name is removed")
    .argument("<name>", "a name such as my-tools")
    .argument("<path>", "a store path or a result link")
    .addHelpText("after", "\nExample:\n  $ cloister roots add my-tools ./result")
    .action((name: string, text: string, _options: object, command: Command) =>
      run(command, async (context) => {
        const service = await context.connect();
        const status = await service.status({ signal: context.signal });
        const { path } = parseStorePlace(text, context.cwd, status);
        await service.addPermanentRoot(name, path, { signal: context.signal });
        if (context.json) context.printJson({ name, ...placeJson(path, status) });
        context.say(`${cleanText(name)} keeps ${printStorePath(status.storeDirectory, path)}`);
        return 0;
      }),
    );
  roots
    .command("remove")
    .description("take a root away: its name, or where its link lies")
    .argument("<from>", "as `cloister roots` shows it")
    .addHelpText("after", "\nExample:\n  $ cloister roots remove my-tools")
    .action((from: string, _options: object, command: Command) =>
      run(command, async (context) => {
        const service = await context.connect();
        await service.removeRoot(from, { signal: context.signal });
        if (context.json) context.printJson({ removed: from });
        context.say(`${cleanText(from)} keeps nothing any more`);
        return 0;
      }),
    );
}
