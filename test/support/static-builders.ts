/** Programs in C that tests run as builders, and beside them: static, for they find no libraries in a jail. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const here = (path: string) => new URL(path, import.meta.url).pathname;

/** The files of each program; all of a directory's, if it names one. */
const programs = {
  probe: "../jail/probe/",
  outside: "./outside.c",
  smuggler: "./smuggler.c",
  ask: "./ask.c",
  confine: "./confine.c",
  "make-calls": "./make-calls.c",
} as const;

export type Program = keyof typeof programs;

/** A directory with the compiled programs, each by its name. It is removed with the object. */
export class StaticBuilders implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), "cloister-static-"));

  constructor(names: readonly Program[]) {
    for (const name of names) {
      const sources = here(programs[name]);
      const files = sources.endsWith("/")
        ? readdirSync(sources)
            .filter((file) => file.endsWith(".c"))
            .map((file) => join(sources, file))
        : [sources];
      const flags = ["-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-static", "-O1"];
      execFileSync("gcc", [...flags, "-o", this.path(name), ...files], { stdio: ["ignore", "ignore", "inherit"] });
    }
  }

  path(name: Program): string {
    return join(this.folder, name);
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
