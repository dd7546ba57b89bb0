/** The C++: each header includes what it uses, and between clone and execve a jail's first process only makes system calls. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { findPinnedNode } from "../../sandbox-native/pinned-node.mjs";
import type { Finding } from "./finding.ts";

const run = promisify(execFile);
const here = "sandbox-native/src";

/** What a file may call that runs where the parent's memory is shared and its locks may be held. */
const callableAfterClone =
  /^(?:syscall|write|_exit|__errno_location|errno|memcpy|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_)$/;

/** Compiles each header by itself, two at a time. */
export async function checkHeaders(paths: readonly string[]): Promise<Finding[]> {
  const waiting = [...paths];
  const findings: Finding[] = [];
  const work = async () => {
    for (let path = waiting.shift(); path !== undefined; path = waiting.shift())
      findings.push(...(await checkHeader(path)));
  };
  await Promise.all([work(), work()]);
  return findings.sort((a, b) => a.path.localeCompare(b.path));
}

async function checkHeader(path: string): Promise<Finding[]> {
  const includes = [here, "node_modules/node-addon-api", join(findPinnedNode() ?? "/usr", "include/node")];
  const options = ["-x", "c++", "-std=c++20", "-fno-exceptions", "-fsyntax-only", "-Wall", "-Wextra", "-D_GNU_SOURCE"];
  const defines = ["-DNAPI_VERSION=9", "-DNAPI_DISABLE_CPP_EXCEPTIONS", "-Wno-pragma-once-outside-header"];
  try {
    await run("g++", [...options, ...defines, ...includes.map((folder) => `-I${folder}`), path]);
    return [];
  } catch (failure) {
    const { stderr } = failure as { stderr?: string };
    // The place of the error, which may be in a header that this one includes.
    const [, file, line, message] = /^(.*?):(\d+):\d+: (?:fatal )?error: (.*)/m.exec(stderr ?? "") ?? [
      "",
      path,
      "1",
      failure,
    ];
    return [
      {
        path: `${file}`,
        line: Number(line),
        wrong: `${path} does not compile alone: ${message}`,
        instead: "an include of what it uses",
      },
    ];
  }
}

/** Looks at what an object file leaves to others. */
export async function checkRunPlan(objectFile: string): Promise<Finding[]> {
  const path = `${here}/linux/run-plan.cpp`;
  if (!existsSync(objectFile)) {
    return [{ path, line: 1, wrong: `was not compiled to ${objectFile}`, instead: "`npm run compile`" }];
  }
  const { stdout } = await run("nm", ["--undefined-only", "--format=posix", objectFile]);
  const names = stdout.split("\n").map((line) => line.split(" ")[0] ?? "");
  return names
    .filter((name) => name !== "" && !callableAfterClone.test(name))
    .map((name) => ({
      path,
      line: 1,
      wrong: `calls ${name} between clone and execve`,
      instead: "a step of the plan, made beforehand",
    }));
}
