/** What a command is given: where it runs, where it writes, how it reaches the daemon, and when it is to stop. */
import type { Client } from "../client/client.ts";
import { type ConnectOptions, connect } from "../client/find-daemon.ts";
import { writeLine } from "./output-stream.ts";
import { printPlainJson } from "./plain-json.ts";
import { Painter } from "./terminal.ts";

export interface GlobalOptions {
  readonly socket?: string;
  readonly root?: string;
  readonly storeDir?: string;
  readonly stateDir?: string;
  readonly strength?: "auto" | "range" | "root" | "single";
  readonly json?: boolean;
}

export class Context implements AsyncDisposable {
  readonly cwd: string;
  readonly json: boolean;
  readonly signal: AbortSignal;
  /** For what is printed on stdout and on stderr: colours only where that stream is a terminal. */
  readonly paintOut: Painter;
  readonly paint: Painter;
  readonly colours: boolean;
  readonly coloursOut: boolean;
  /** Whether a picture may be painted at the end of the terminal that stderr is. */
  readonly isLive: boolean;
  readonly options: GlobalOptions;
  /** What is said at a Ctrl-C, and once the command has ended because of it. */
  onInterrupt = {
    first: "cancelling (Ctrl-C again to leave at once)",
    last: "interrupted: what was cancelled left nothing behind",
  };
  #client: Client | undefined;

  constructor(options: GlobalOptions, place: { cwd: string; signal: AbortSignal; environment: NodeJS.ProcessEnv }) {
    this.options = options;
    this.cwd = place.cwd;
    this.signal = place.signal;
    this.json = options.json === true;
    this.colours = wantsColours(process.stderr, place.environment);
    this.paint = new Painter({ colours: this.colours });
    this.coloursOut = wantsColours(process.stdout, place.environment);
    this.paintOut = new Painter({ colours: this.coloursOut });
    this.isLive = !this.json && process.stderr.isTTY === true && !isDumb(place.environment);
  }

  /** The daemon, found or started; one connection for the whole command, and so one lease. */
  async connect(): Promise<Client> {
    this.#client ??= await connect({
      ...connectOptions(this.options),
      onNotice: (text) => this.say(this.paint.dim(text)),
      signal: this.signal,
    });
    return this.#client;
  }

  /** A line on stdout: results, that another program may read. */
  print(line: string): void {
    writeLine(process.stdout, line);
  }

  printJson(value: unknown): void {
    this.print(printPlainJson(value));
  }

  /** A line on stderr: what goes on, for a person. Nothing with `--json`. */
  say(line: string): void {
    if (!this.json) writeLine(process.stderr, line);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client?.[Symbol.asyncDispose]();
  }
}

export function connectOptions(options: GlobalOptions): ConnectOptions {
  return {
    ...(options.socket === undefined ? {} : { socket: options.socket }),
    ...(options.root === undefined ? {} : { root: options.root }),
    ...(options.storeDir === undefined ? {} : { storeDirectory: options.storeDir }),
    ...(options.stateDir === undefined ? {} : { stateDirectory: options.stateDir }),
    ...(options.strength === undefined ? {} : { strength: options.strength }),
  };
}

/**
 * NO_COLOR counts most, then what forces colours, then what turns them off, then whether it is a terminal. Sources:
 * no-color.org; bixense.com/clicolors; FORCE_COLOR as Node's own tools read it.
 */
export function wantsColours(stream: Pick<NodeJS.WriteStream, "isTTY">, environment: NodeJS.ProcessEnv): boolean {
  if (environment["NO_COLOR"] !== undefined && environment["NO_COLOR"] !== "") return false;
  const { FORCE_COLOR: force, CLICOLOR_FORCE: forceToo = "0" } = environment;
  if (force !== undefined) return force !== "0" && force !== "false";
  if (forceToo !== "0" && forceToo !== "") return true;
  return environment["CLICOLOR"] !== "0" && stream.isTTY === true && !isDumb(environment);
}

function isDumb(environment: NodeJS.ProcessEnv): boolean {
  return environment["TERM"] === "dumb";
}
