import { expect, test } from "vitest";
import { checkBrandCasts } from "./check-brand-casts.ts";
import { checkEnvironment } from "./check-environment.ts";
import { checkErrorCodes } from "./check-error-codes.ts";
import { checkFileLength } from "./check-file-length.ts";
import { checkLeftovers } from "./check-leftovers.ts";
import { printFinding } from "./finding.ts";

test("a file of more than 300 lines of code is refused unless a reason stands in the table", () => {
  const long = { path: "store/gc.ts", text: "x\n".repeat(301) };
  const exact = { path: "store/add.ts", text: `/** Why.\n * How. */\n\n${"x\n  // y\n".repeat(300)}` };
  expect(checkFileLength([long, exact], []).map(printFinding)).toEqual([
    "store/gc.ts:1: has 301 lines of code; use a file for each of its concepts, or say in test/tidy/exceptions.ts why it is one",
  ]);
  const exception = { check: "file-length", path: "store/gc.ts", reason: "a table" } as const;
  expect(checkFileLength([long], [exception])).toEqual([]);
  expect(checkFileLength([exact], [exception])).toHaveLength(1); // an exception that nothing needs
});

test("notes on unfinished work, prints and switched-off tests are refused", () => {
  const note = `const a = 1;\n// ${"TO"}${"DO"}: later\n`;
  expect(checkLeftovers([{ path: "store/gc.ts", text: note }]).map(({ line }) => line)).toEqual([2]);
  const print = "console.log(1);\n";
  expect(checkLeftovers([{ path: "daemon/cli/main.ts", text: print }])).toHaveLength(1);
  expect(checkLeftovers([{ path: "test/support/demo.mjs", text: print }])).toEqual([]);
  expect(checkLeftovers([{ path: "sandbox-native/src/linux/a.cpp", text: '  printf("x");' }])).toHaveLength(1);
  expect(checkLeftovers([{ path: "test/unit/a.test.ts", text: `${"test"}.only("x", f);` }])).toHaveLength(1);
  expect(checkLeftovers([{ path: "store/gc.ts", text: `// @ts-${"ignore"}\n` }])).toHaveLength(1);
});

test("the environment is read in its places only", () => {
  const text = "const home = process.env.HOME;\n";
  expect(checkEnvironment([{ path: "store/layout.ts", text }]).map(printFinding)).toEqual([
    "store/layout.ts:1: the environment is read here; use an option, filled in by daemon/server/config.ts, daemon/cli/, " +
      "daemon/client/find-daemon.ts, daemon/definitions/cache-directory.ts",
  ]);
  for (const path of ["daemon/server/config.ts", "daemon/cli/main.ts", "daemon/client/find-daemon.ts"]) {
    expect(checkEnvironment([{ path, text }])).toEqual([]);
  }
  expect(checkEnvironment([{ path: "daemon/server/main.ts", text }])).toHaveLength(1);
});

test("a cast to a brand is refused outside the brand's module", () => {
  const home = {
    path: "derivations/a.ts",
    text: 'export type Name = Brand<string, "Name">;\nconst a = "x" as Name;\n',
  };
  const cast = { path: "store/b.ts", text: 'import { type Name as Other } from "./a.ts";\nconst b = "x" as Name;\n' };
  const rename = { path: "store/c.ts", text: 'import { type X as Name } from "./a.ts";\n' };
  expect(checkBrandCasts([home, cast, rename]).map(({ path, line }) => `${path}:${line}`)).toEqual(["store/b.ts:2"]);
});

test("an error code is unique, documented, and named in a test", () => {
  const table = (code: string) => `export const errors = {\n  ${code}: row(\n    () => "x", "y"),\n} as const;\n`;
  const sources = [
    { path: "store/errors.ts", text: table("STORE_A") },
    { path: "daemon/build/errors.ts", text: table("STORE_A") },
    { path: "test/unit/a.test.ts", text: 'expect(error.code).toBe("STORE_A")' },
  ];
  expect(checkErrorCodes(sources, "## STORE_A").map(printFinding)).toEqual([
    "daemon/build/errors.ts:2: STORE_A is in store/errors.ts too; use a code of its own",
  ]);
  expect(checkErrorCodes(sources.slice(0, 1), "").map(({ wrong }) => wrong)).toEqual([
    "STORE_A is not in docs/errors.md",
    "STORE_A is named in no test",
  ]);
  expect(checkErrorCodes(sources.slice(0, 1), "STORE_AB").map(({ wrong }) => wrong)).toContain(
    "STORE_A is not in docs/errors.md",
  );
});
