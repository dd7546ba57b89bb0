/** The real `cloister` command, in processes of its own, with a store, a daemon and a home below a temporary directory. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { z } from "zod";
import { jsonOutputs } from "../../daemon/cli/json-schemas.ts";
import { packageFolder } from "../../sandbox-native/pinned-node.mjs";
import { probeMachine } from "../../sandbox-native/probe.ts";
import { makeRemovable } from "./temporary-store.ts";

const bin = join(packageFolder, "daemon/cli/bin.js");

/** Why nothing can be built on this machine, or "". */
export const missingJails = Object.values((await probeMachine()).strengths).some(({ ok }) => ok)
  ? ""
  : "needs a machine that grants some strength to this user (cloister doctor)";

export interface Ended {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  /** Resolves when stderr holds the text. */
  untilSaid(text: string): Promise<void>;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly environment?: Readonly<Record<string, string>>;
}

export class CommandLine implements AsyncDisposable {
  readonly folder = realpathSync(mkdtempSync(join(tmpdir(), "cloister-cli-")));
  readonly root = join(this.folder, "root");
  /** Where commands run and definitions lie. */
  readonly cwd = join(this.folder, "work");

  constructor() {
    mkdirSync(this.cwd);
  }

  start(args: readonly string[], options: RunOptions = {}): Running {
    return this.#startNode([bin, ...args], options);
  }

  #startNode(args: readonly string[], options: RunOptions): Running {
    const { PATH = "", CLOISTER_STRENGTH } = process.env;
    const child = spawn(process.execPath, args, {
      cwd: options.cwd ?? this.cwd,
      env: {
        PATH,
        HOME: this.folder,
        CLOISTER_ROOT: this.root,
        ...(CLOISTER_STRENGTH === undefined ? {} : { CLOISTER_STRENGTH }),
        ...options.environment,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    const said = () => Buffer.concat(err).toString();
    child.stdout.on("data", (bytes: Buffer) => out.push(bytes));
    child.stderr.on("data", (bytes: Buffer) => err.push(bytes));
    const ended = new Promise<Ended>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (status, signal) =>
        // A second Ctrl-C may come when Node is leaving with 130 already; a shell calls both 130.
        resolve({
          status: signal === "SIGINT" ? 130 : status,
          signal,
          stdout: Buffer.concat(out).toString(),
          stderr: said(),
        }),
      );
    });
    const untilSaid = (text: string) =>
      new Promise<void>((resolve, reject) => {
        const look = () => said().includes(text) && resolve();
        child.stderr.on("data", look);
        child.on("close", () => reject(new Error(`it ended without saying ${text}: ${said()}`)));
        look();
      });
    return { child, ended, untilSaid };
  }

  run(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
    return this.start(args, options).ended;
  }

  /** Runs a program of the user's own in the same environment. */
  runNode(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
    return this.#startNode(args, options).ended;
  }

  /** Runs a command with `--json` and reads what it prints by its schema, in which every field has its place. */
  async json<Name extends keyof typeof jsonOutputs>(
    name: Name,
    args: readonly string[],
  ): Promise<z.infer<(typeof jsonOutputs)[Name]> & { exit: number | null }> {
    const { status, stdout, stderr } = await this.run([...args, "--json"]);
    if (stderr !== "") throw new Error(`with --json it said: ${stderr}`);
    const value = jsonOutputs[name].parse(JSON.parse(stdout));
    return { ...(value as z.infer<(typeof jsonOutputs)[Name]>), exit: status };
  }

  write(name: string, text: string): string {
    writeFileSync(join(this.cwd, name), text);
    return name;
  }

  /** Writes NAME.ts: a script in a world of bash and a few tools, and more attributes as source text. */
  define(name: string, script: string, more = ""): string {
    return this.write(
      `${name}.ts`,
      `import { derivation, hostWorld, source } from "cloister";
export default derivation({
  name: ${JSON.stringify(`${name}-1.0`)},
  world: hostWorld(["bash", "mkdir", "cat", "sleep", "ln", "rm", "ls"]),
  script: ${JSON.stringify(script)},
  ${more}
});
`,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.run(["daemon", "stop", "--drain", "0"]);
    await makeRemovable(this.folder);
    rmSync(this.folder, { recursive: true, force: true });
  }
}
