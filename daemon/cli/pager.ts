/**
 * A pager between a long text and the terminal: $CLOISTER_PAGER, else $PAGER, else less, run by a shell as git does it.
 * None where stdout is no terminal, and where the variable is empty or "cat".
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants } from "node:fs";
import { join } from "node:path";
import type { Writable } from "node:stream";

export class Pager implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  /** Who looks has seen enough. */
  #isGone = false;

  private constructor(command: string, environment: NodeJS.ProcessEnv) {
    // As git sets them: what fits one screen is not paged, colours pass, the screen keeps what was shown.
    const env = { LESS: "FRX", LV: "-c", ...environment };
    this.#child = spawn("/bin/sh", ["-c", command], { stdio: ["pipe", "inherit", "inherit"], env });
    this.#ended = once(this.#child, "close");
    this.#child.stdin?.on("error", () => {
      this.#isGone = true;
    });
    // Ctrl-C is the pager's, and what it shows goes on.
    process.on("SIGINT", ignore);
  }

  /** Undefined where there is to be none. */
  static open(environment: NodeJS.ProcessEnv): Pager | undefined {
    if (process.stdout.isTTY !== true || environment["TERM"] === "dumb") return undefined;
    const command =
      environment["CLOISTER_PAGER"] ?? environment["PAGER"] ?? (isInstalled("less", environment) ? "less" : "");
    return command === "" || command === "cat" ? undefined : new Pager(command, environment);
  }

  /** False once nobody reads any more. */
  async write(piece: Uint8Array | string): Promise<boolean> {
    const input: Writable | null = this.#child.stdin;
    if (input === null || this.#isGone) return false;
    if (piece.length === 0) return true;
    return new Promise((resolve) => input.write(piece, (error) => resolve(error === null || error === undefined)));
  }

  /** Resolves when the pager has ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin?.end();
    await this.#ended;
    process.off("SIGINT", ignore);
  }
}

function isInstalled(program: string, environment: NodeJS.ProcessEnv): boolean {
  return (environment["PATH"] ?? "").split(":").some((directory) => {
    try {
      accessSync(join(directory, program), constants.X_OK);
      return directory !== "";
    } catch {
      return false; // then it is elsewhere, or nowhere
    }
  });
}

function ignore(): void {
  // The pager handles it.
}
