/**
 * A build is struck with `kill -9` at one moment; then nothing of it may run any more, every valid path must have its
 * recorded contents, and the next build must succeed.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import Database from "better-sqlite3";
import { hashTree } from "../../sandbox-native/read-tree.ts";
import { type Moment, struckFile } from "./moments.ts";

/** How long a thing that must come to an end may take, on the slowest machine. */
const patienceMs = 30_000;

export interface Harness extends Disposable {
  readonly directory: string;
  readonly builder: string;
}

export function openHarness(): Harness {
  const directory = mkdtempSync(join(tmpdir(), "cloister-kill-"));
  const builder = join(directory, "hostile-builder");
  const source = new URL("../support/hostile-builder.c", import.meta.url).pathname;
  execFileSync("g++", ["-x", "c", "-static", "-O1", "-o", builder, source]);
  return { directory, builder, [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }) };
}

/**
 * True if the moment came. Throws an error that says what was wrong after the blow. `serial` keeps the rounds of one
 * harness apart.
 */
export async function strikeOnce(harness: Harness, moment: Moment, serial: number): Promise<boolean> {
  const root = join(harness.directory, "root");
  mkdirSync(root, { recursive: true });
  const marker = `cloister-marker-${process.pid}-${serial}`;

  const struck = await startDaemon(root, moment);
  const client = startClient(root, harness.builder, marker);
  // The builder's own death ends a build that nobody else struck; every other one ends by its own.
  await ended(client, "the client");
  if (moment.victim === "daemon" || moment.victim === "launcher") await orStopped(struck);
  else await stop(struck);
  await noProcessLeft(marker);

  const next = await startDaemon(root);
  try {
    await checkContents(root);
    const again = startClient(root, harness.builder, marker);
    const status = await ended(again, "the next build");
    if (status !== 0) throw new Error(`the next build failed: ${again.output()}`);
    await checkContents(root);
  } finally {
    await stop(next);
  }
  await noProcessLeft(marker);
  const isStruck = existsSync(struckFile(root));
  rmSync(struckFile(root), { force: true });
  return isStruck;
}

interface Running {
  readonly process: ChildProcess;
  readonly exit: Promise<number>;
  output(): string;
}

function run(script: string, args: readonly string[], extraPipe: boolean): Running {
  const path = new URL(script, import.meta.url).pathname;
  const stdio = ["ignore", "pipe", "pipe", ...(extraPipe ? (["pipe"] as const) : [])] as const;
  const child = spawn(process.execPath, [path, ...args], { stdio: [...stdio] });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (bytes) => (text += String(bytes)));
  const exit = new Promise<number>((resolve) => child.once("close", (code) => resolve(code ?? -1)));
  return { process: child, exit, output: () => text };
}

export async function startDaemon(root: string, moment?: Moment): Promise<Running> {
  const args = moment === undefined ? [] : [moment.point, String(moment.nth), moment.victim, String(moment.delayMs)];
  const daemon = run("./daemon-under-test.ts", [root, ...args], true);
  const ready = daemon.process.stdio[3] as NodeJS.ReadableStream;
  const words = await Promise.race([readAll(ready), daemon.exit.then(() => "")]);
  if (!words.includes('"ready":true')) throw new Error(`the daemon did not start: ${words} ${daemon.output()}`);
  return daemon;
}

export function startClient(root: string, builder: string, marker: string): Running {
  return run("./client-under-test.ts", [root, builder, marker], false);
}

async function readAll(stream: NodeJS.ReadableStream): Promise<string> {
  let text = "";
  for await (const bytes of stream) text += String(bytes);
  return text;
}

export async function ended(running: Running, what: string): Promise<number> {
  const late = sleep(patienceMs, "late", { ref: false });
  const status = await Promise.race([running.exit, late]);
  if (typeof status === "number") return status;
  running.process.kill("SIGKILL");
  throw new Error(`${what} did not end: ${running.output()}`);
}

export async function stop(daemon: Running): Promise<void> {
  daemon.process.kill("SIGTERM");
  await ended(daemon, "the daemon");
}

/** A daemon that was struck, or lost its launcher, ends by itself; where the moment never came, it is told to. */
async function orStopped(daemon: Running): Promise<void> {
  const late = sleep(2000, "late", { ref: false });
  if ((await Promise.race([daemon.exit, late])) === "late") await stop(daemon);
}

/** Exported for the harness's own test: a process that stays must be found. */
export async function noProcessLeft(marker: string, waitMs = patienceMs): Promise<void> {
  const deadline = performance.now() + waitMs;
  for (;;) {
    const left = processesWith(marker);
    if (left.length === 0) return;
    if (performance.now() > deadline) throw new Error(`still running: ${left.join("; ")}`);
    await sleep(10); // no event tells an outsider that another's process has ended
  }
}

/** By the command line: it can be read whoever the process belongs to. */
function processesWith(marker: string): string[] {
  const found: string[] = [];
  for (const pid of readdirSync("/proc").filter((name) => /^[0-9]+$/.test(name)))
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, "latin1").replaceAll("\0", " ");
      if (command.includes(marker) && !command.includes("under-test")) found.push(`${pid} ${command}`);
    } catch {
      // it ended while we looked
    }
  return found;
}

/** Read from the database by SQL alone, and hashed anew: the store's own view is what is on trial. */
export async function checkContents(root: string): Promise<void> {
  const database = new Database(join(root, "cloister/var/cloister/db/db.sqlite"), { readonly: true });
  try {
    const rows = database.prepare("SELECT path, hash, narSize FROM ValidPaths").all() as {
      path: string;
      hash: string;
      narSize: number;
    }[];
    for (const row of rows) {
      const { narHash, narSize } = await hashTree(join(root, row.path));
      const found = `sha256:${Buffer.from(narHash).toString("hex")}`;
      if (found !== row.hash || Number(narSize) !== row.narSize)
        throw new Error(`${row.path} is valid, but its contents are not what was recorded: ${found}, not ${row.hash}`);
    }
  } finally {
    database.close();
  }
}
