/** Every example of docs/client.md, as its reader would copy it: type-checked, and run with a store of its own. */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { packageFolder } from "../../sandbox-native/pinned-node.mjs";
import { CommandLine, missingJails } from "../support/command-line.ts";

interface Example {
  readonly heading: string;
  readonly file: string;
  readonly isRun: boolean;
  readonly text: string;
}

function readExamples(page: string): Example[] {
  const found: Example[] = [];
  let heading = "";
  for (const [, title, info = "", text = ""] of page.matchAll(/^## (.*)$|^```ts(.*)\n([\s\S]*?)^```$/gm)) {
    if (title !== undefined) {
      heading = title;
      continue;
    }
    const [, named] = /file=(\S+)/.exec(info) ?? [];
    found.push({ heading, file: named ?? `example-${found.length}.ts`, isRun: named === undefined, text });
  }
  return found;
}

const examples = readExamples(readFileSync(join(packageFolder, "docs/client.md"), "utf8"));

/** What each prints, by its heading: a part of it, or all. */
const printed: Readonly<Record<string, RegExp>> = {
  Connect: /^cloister \S+, (?:range|root|single) strength, \d+ paths\n$/,
  "Submit and watch a build":
    /^1 to build, 0 there already\nhello-1\.0 started; its record is \S+\nbuilding\nhello-1\.0: built\nbuilt \S+-hello-1\.0\n$/,
  Cancel: /^Error: changed my mind\n$/,
  "Without a client": /^plan\n(?:build-\w+\n)*(?:built|already-valid)\n$/,
  Add: /^\S+-greeting\n$/,
  "Fetch and query": /^128n 1\ndear reader\ntrue\n$/,
  Collect: /^\d+ paths would go, \d+n? bytes; \d+ stay\n$/,
  Errors: /^DAEMON_NOT_FOUND\nno daemon listens at \/nowhere\/socket .*\n.+\n$/,
  "In the own process": /^built\n$/,
};

describe.skipIf(missingJails !== "")(`docs/client.md${missingJails && `: ${missingJails}`}`, () => {
  const cli = new CommandLine();
  beforeAll(() => {
    mkdirSync(join(cli.cwd, "node_modules/@types"), { recursive: true });
    symlinkSync(packageFolder, join(cli.cwd, "node_modules/cloister"));
    symlinkSync(join(packageFolder, "node_modules/@types/node"), join(cli.cwd, "node_modules/@types/node"));
    cli.write("package.json", JSON.stringify({ type: "module" }));
    for (const { file, text } of examples) cli.write(file, text);
  });
  afterAll(() => cli[Symbol.asyncDispose]());

  test("its examples have the types that they use", () => {
    const compilerOptions = {
      ...{ module: "nodenext", target: "esnext", lib: ["esnext"], types: ["node"], strict: true, noEmit: true },
      ...{ noUncheckedIndexedAccess: true, exactOptionalPropertyTypes: true, skipLibCheck: true },
    };
    writeFileSync(join(cli.cwd, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts"] }));
    const { stdout, status } = spawnSync(join(packageFolder, "node_modules/.bin/tsc"), ["-p", cli.cwd], {
      encoding: "utf8",
    });
    expect(stdout).toBe("");
    expect(status).toBe(0);
  });

  test.each(examples.filter(({ isRun }) => isRun))("$heading", async ({ heading, file }) => {
    const { status, stdout, stderr } = await cli.runNode([file]);
    expect(stderr).toBe("");
    expect(status).toBe(0);
    expect(stdout).toMatch(printed[heading] ?? /^$/);
  });

  test("there is one for each thing that the page names", () => {
    const run = new Set(examples.filter(({ isRun }) => isRun).map(({ heading }) => heading));
    expect([...run].sort()).toEqual(Object.keys(printed).sort());
  });
});
