import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { checkHeaders, checkRunPlan } from "./check-native.ts";

const folder = mkdtempSync(join(tmpdir(), "cloister-tidy-"));
afterAll(() => rmSync(folder, { recursive: true }));

test("a header that lacks an include is refused with the line that needs it", async () => {
  const good = join(folder, "good.h");
  const bad = join(folder, "bad.h");
  writeFileSync(good, "#pragma once\n#include <string>\nstd::string Name();\n");
  writeFileSync(bad, "#pragma once\n\nstd::string Name();\n");
  const findings = await checkHeaders([good, bad]);
  expect(findings.map(({ path, line }) => ({ path, line }))).toEqual([{ path: bad, line: 3 }]);
});

test("an object file that calls more than the allowed functions is refused", async () => {
  const source = join(folder, "plan.cpp");
  const compile = (text: string, object: string) => {
    writeFileSync(source, text);
    execFileSync("g++", ["-O2", "-c", source, "-o", object]);
    return object;
  };
  const calls = "#include <unistd.h>\n#include <sys/syscall.h>\nvoid F() { syscall(SYS_getpid); _exit(1); }\n";
  expect(await checkRunPlan(compile(calls, join(folder, "good.o")))).toEqual([]);
  const allocates = `${calls}#include <stdlib.h>\nvoid* G() { return malloc(1); }\n`;
  const findings = await checkRunPlan(compile(allocates, join(folder, "bad.o")));
  expect(findings.map(({ wrong }) => wrong)).toEqual(["calls malloc between clone and execve"]);
});
