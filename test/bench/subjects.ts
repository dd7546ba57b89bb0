/** What a row is measured on: cloister and the peers behind one small face, each over one raw, warm connection. */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { type Client, connect } from "../../daemon/library.ts";
import {
  parseFullStorePath,
  parseStoreDirectory,
  printStorePath,
  type StoreDirectory,
} from "../../derivations/store-path.ts";
import { peersTree } from "../support/peers.ts";
import { type Flavour, PeerConnection } from "./peer-connection.ts";

/** Paths are full and logical here, as the peers' protocol has them. */
export interface Subject extends AsyncDisposable {
  readonly name: string;
  readonly storeDirectory: StoreDirectory;
  addText(name: string, contents: Uint8Array, references: readonly string[]): Promise<string>;
  addSource(name: string, archive: Iterable<Uint8Array>): Promise<string>;
  build(drvPaths: readonly string[]): Promise<void>;
  pathInfo(path: string): Promise<void>;
  validPaths(paths: readonly string[]): Promise<number>;
}

export async function openCloister(root: string): Promise<Subject & { readonly client: Client }> {
  return cloisterOf(await connect({ root }));
}

/** Disposing it ends the daemon. */
export async function cloisterOf(client: Client): Promise<Subject & { readonly client: Client }> {
  const { storeDirectory } = await client.status();
  const parse = (text: string) => parseFullStorePath(storeDirectory, text);
  return {
    name: "cloister",
    client,
    storeDirectory,
    async addText(name, contents, references) {
      return printStorePath(storeDirectory, await client.addText(name, contents, references.map(parse)));
    },
    async addSource(name, archive) {
      const info = await client.addSource(name, { kind: "source", references: [] }, stream(archive));
      return printStorePath(storeDirectory, info.path);
    },
    async build(drvPaths) {
      const targets = drvPaths.map((path) => ({ kind: "built", drvPath: parse(path), outputs: "all" }) as const);
      const options = { mode: "normal", keepGoing: false, cores: 0, timeoutMs: 0, silenceMs: 0 } as const;
      const results = await client.build(targets, options);
      const failed = results.find((result) => result.status !== "built" && result.status !== "already-valid");
      if (failed !== undefined) throw new Error(`${failed.drvPath}: ${failed.error?.message ?? failed.status}`);
    },
    async pathInfo(path) {
      if ((await client.queryPathInfo(parse(path))) === undefined) throw new Error(`${path} is not valid`);
    },
    async validPaths(paths) {
      return (await client.queryValidPaths(paths.map(parse))).length;
    },
    async [Symbol.asyncDispose]() {
      await client.shutdown({ drainMs: 0 });
      await client[Symbol.asyncDispose]();
    },
  };
}

/** Starts the peer's daemon from the peers' tree, with a store in memory. `rootDirectory` is where it has its root. */
export async function openPeer(flavour: Flavour): Promise<Subject & { readonly rootDirectory: string }> {
  const script = new URL("../support/peer-daemon.sh", import.meta.url).pathname;
  const env = { ...process.env, CLOISTER_PEERS: peersTree };
  const daemon = spawn("bash", [script, flavour], { stdio: ["ignore", "pipe", "ignore"], detached: true, env });
  const socket = await firstLine(daemon, flavour);
  const [inside] = readFileSync(`/proc/${daemon.pid}/task/${daemon.pid}/children`, "utf8").split(" ");
  const connection = await PeerConnection.open(flavour, `/proc/${inside}/root${socket}`);
  return {
    name: flavour,
    rootDirectory: `/proc/${inside}/root`,
    storeDirectory: parseStoreDirectory(flavour === "nix" ? "/nix/store" : "/gnu/store"),
    addText: (name, contents, references) => connection.addText(name, contents, references),
    addSource: (name, archive) => connection.addSource(name, archive),
    build: (drvPaths) => connection.build(drvPaths),
    pathInfo: (path) => connection.pathInfo(path),
    validPaths: (paths) => connection.validPaths(paths),
    async [Symbol.asyncDispose]() {
      connection[Symbol.dispose]();
      daemon.kill("SIGKILL"); // unshare's --kill-child and the pid namespace end all the rest
      if (daemon.exitCode === null && daemon.signalCode === null)
        await new Promise((resolve) => daemon.once("exit", resolve));
    },
  };
}

async function* stream(archive: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* archive;
}

async function firstLine(process: ChildProcess, flavour: Flavour): Promise<string> {
  let text = "";
  for await (const bytes of process.stdout ?? []) {
    text += String(bytes);
    if (text.includes("\n")) return text.slice(0, text.indexOf("\n"));
  }
  throw new Error(
    `${flavour}-daemon did not start: is CLOISTER_PEERS what test/support/peers.sh made, and are you root?`,
  );
}
