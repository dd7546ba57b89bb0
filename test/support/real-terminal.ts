/** A real terminal: tmux, on a socket of its own, with one window that runs a shell. What it shows is read back as text. */
import { execFile, execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Why there is none here, or "". */
export const missingTerminal = hasTmux() ? "" : "needs tmux";

export interface TerminalOptions {
  readonly folder: string;
  readonly columns: number;
  readonly rows: number;
  /** Without quotes. */
  readonly environment: Readonly<Record<string, string>>;
  /** Functions of the shell. */
  readonly commands: string;
}

export class RealTerminal implements AsyncDisposable {
  readonly #socket: string;

  private constructor(socket: string) {
    this.#socket = socket;
  }

  static async open({ folder, columns, rows, environment, commands }: TerminalOptions): Promise<RealTerminal> {
    const terminal = new RealTerminal(join(folder, "tmux"));
    // A shell that runs another one keeps its prompt to itself, and its own way to find commands.
    const settings = join(folder, "settings");
    const lines = Object.entries(environment).map(([name, value]) => `export ${name}='${value}'`);
    writeFileSync(settings, ["PS1='$ '", "export LC_ALL=C.UTF-8", ...lines, commands, ""].join("\n"));
    const size = ["-x", String(columns), "-y", String(rows)];
    await terminal.#tmux("-f", "/dev/null", "new-session", "-d", ...size, `bash --noprofile --rcfile ${settings}`);
    try {
      await terminal.untilShown((screen) => screen.startsWith("$"));
    } catch (error) {
      await terminal[Symbol.asyncDispose]();
      throw error;
    }
    return terminal;
  }

  /** Types it; "Enter", "C-c" and others that tmux knows are keys. */
  async type(...keys: readonly string[]): Promise<void> {
    await this.#tmux("send-keys", ...keys);
  }

  async resize(columns: number, rows: number): Promise<void> {
    await this.#tmux("resize-window", "-x", String(columns), "-y", String(rows));
  }

  /** What is on the screen, without the empty lines at its end; with `all`, what has left it at the top as well. */
  async show(options: { readonly all?: boolean } = {}): Promise<string> {
    const text = await this.#tmux("capture-pane", "-p", ...(options.all === true ? ["-S", "-"] : []));
    return text.trimEnd();
  }

  /** The process ids of what the shell runs. */
  async shellPid(): Promise<number> {
    return Number(await this.#tmux("display-message", "-p", "#{pane_pid}"));
  }

  /** Whether the cursor is shown, and whether lines wrap. */
  async modes(): Promise<{ readonly cursor: boolean; readonly wrap: boolean }> {
    const [cursor, wrap] = (await this.#tmux("display-message", "-p", "#{cursor_flag} #{wrap_flag}")).trim().split(" ");
    return { cursor: cursor === "1", wrap: wrap === "1" };
  }

  /** Resolves to the first screen that is as wanted; rejects after half a minute with what is there. */
  async untilShown(isWanted: (screen: string) => boolean): Promise<string> {
    const giveUpAtMs = performance.now() + 30_000;
    for (;;) {
      const screen = await this.show();
      if (isWanted(screen)) return screen;
      if (performance.now() > giveUpAtMs) throw new Error(`the terminal still shows:\n${screen}`);
      await pause(20);
    }
  }

  async #tmux(...args: readonly string[]): Promise<string> {
    const { stdout } = await run("tmux", ["-S", this.#socket, ...args], { encoding: "utf8" });
    return stdout;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tmux("kill-server").catch(() => undefined); // it ends by itself with its last window
  }
}

function hasTmux(): boolean {
  try {
    execFileSync("tmux", ["-V"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
