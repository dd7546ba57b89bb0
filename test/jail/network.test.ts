/**
 * The way out of builds that ask for one: what it reaches, what it does not, that without the defence against it it would
 * be reached, and that nothing is left of it. The servers are on this machine: on an address of its own, on its loopback,
 * and, where root runs the tests, on addresses that are lent to the loopback for a while.
 */
import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { copyFileSync, readdirSync, readFileSync } from "node:fs";
import { type AddressInfo, createServer, isIPv6, type Server } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { JailSpec } from "../../sandbox-native/jail-spec.ts";
import { defaultBlockedNetworks, findPasta, findWhyNoWayOut } from "../../sandbox-native/way-out.ts";
import { strengthsToTest } from "../support/granted-strengths.ts";
import { compileNativePrograms } from "../support/native-programs.ts";
import { StaticBuilders } from "../support/static-builders.ts";
import {
  busybox,
  makeTemporaryLauncher,
  shellSpec,
  storeDirectory,
  storeName,
  type TemporaryLauncher,
} from "../support/temporary-launcher.ts";

const isRoot = process.geteuid?.() === 0;
const pasta = findPasta();
const ask = storeName("4", "ask");
const outbound: JailSpec["network"] = { kind: "outbound", blocked: [...defaultBlockedNetworks], nameservers: [] };
const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
const own = addresses.filter(({ internal, scopeid }) => !internal && !scopeid).map(({ address }) => address);
/** An address that no name server and no mirror of anybody's has: TEST-NET-3 of RFC 5737. */
const lent = "203.0.113.77";
const metadata = "169.254.169.254";

/** Servers of one port, by TCP and UDP on each address: they answer with what they are. */
class Servers implements AsyncDisposable {
  readonly #servers: { close(): unknown }[] = [];
  port = 0;

  static async start(hosts: readonly string[]): Promise<Servers> {
    const servers = new Servers();
    for (const host of hosts) await servers.#listen(host);
    return servers;
  }

  async #listen(host: string): Promise<void> {
    const server: Server = createServer((socket) =>
      socket.on("error", () => undefined).on("data", () => socket.end(`tcp at ${host}`)),
    );
    server.listen({ host, port: this.port, exclusive: true });
    await once(server, "listening");
    this.port = (server.address() as AddressInfo).port;
    const datagrams = createSocket(isIPv6(host) ? "udp6" : "udp4");
    datagrams.on("message", (_, from) => datagrams.send(`udp at ${host}`, from.port, from.address));
    datagrams.bind({ address: host, port: this.port, exclusive: true });
    await once(datagrams, "listening");
    this.#servers.push(server, datagrams);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) server.close();
  }
}

/** Addresses of the loopback for as long as the object lives: only root can. */
function lend(...list: string[]): Disposable {
  for (const address of list) execFileSync("ip", ["addr", "replace", `${address}/32`, "dev", "lo"]);
  return {
    [Symbol.dispose]: () => {
      for (const address of list) execFileSync("ip", ["addr", "del", `${address}/32`, "dev", "lo"]);
    },
  };
}

const patient = 10;

/** Each ask has two seconds, or for an answer that must come as long as a busy machine takes. */
function askSpec(asks: readonly string[], network = outbound, seconds = 2): JailSpec {
  const environment = [Buffer.from(`PATIENCE=${seconds}`)];
  const spec = shellSpec("", { inputs: [ask], outputs: [], network, environment });
  const builder = `${storeDirectory}/${ask}`;
  return { ...spec, builder: Buffer.from(builder), args: asks.map((text) => Buffer.from(text)) };
}

/** What each one was answered; what went wrong begins with "!". */
async function askFrom(here: TemporaryLauncher, asks: readonly string[], network = outbound, seconds?: number) {
  const { answer, log } = await here.run(askSpec(asks, network, seconds));
  await here.launcher.discard([], [answer.view]);
  expect([answer.ending, log]).toEqual([{ kind: "exited", code: 0 }, expect.any(String)]);
  return log
    .trimEnd()
    .split("\n")
    .map((line) => line.slice(line.indexOf(": ") + 2));
}

/** It is one program with passt, in variants for processors. */
const isPasta = (pid: string | number) => /^(pasta|passt)/.test(commandOf(pid));

/** The processes of pasta below a launcher's first process. */
function pastasOf(pid: number): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && isPasta(name) && isBelow(Number(name), pid))
    .map(Number);
}

function commandOf(pid: string | number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
  } catch {
    return "";
  }
}

function isBelow(pid: number, ancestor: number): boolean {
  for (let at = pid; at > 1; ) {
    if (at === ancestor) return true;
    try {
      at = Number(/^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${at}/status`, "utf8"))?.[1] ?? 0);
    } catch {
      return false;
    }
  }
  return false;
}

let builders: StaticBuilders;
beforeAll(() => {
  builders = new StaticBuilders(["ask"]);
  compileNativePrograms("without");
}, 300_000);
afterAll(() => builders[Symbol.dispose]());

describe.for(await strengthsToTest())("in $strength strength", ({ strength, missing: noStrength }) => {
  const noWay = findWhyNoWayOut(pasta, strength);
  const missing = noStrength || (noWay === undefined ? "" : `needs a way out: ${noWay.reason} (${noWay.remedy})`);
  const start = async (options: { without?: readonly string[]; pasta?: string } = {}) => {
    const here = await makeTemporaryLauncher({ strength, pasta, ...options });
    copyFileSync(builders.path("ask"), join(here.store, ask));
    return here;
  };

  test("a build with a way out reaches a server by TCP and by UDP, and another build does not", async ({ skip }) => {
    skip(missing !== "", missing);
    skip(own.length === 0, "needs an address besides the loopback's");
    await using servers = await Servers.start(own);
    await using here = await start();
    const asks = own.flatMap((address) => ["tcp", "udp"].map((kind) => `${kind},${address},${servers.port}`));
    expect(await askFrom(here, asks, outbound, patient)).toEqual(
      own.flatMap((address) => [`tcp at ${address}`, `udp at ${address}`]),
    );
    for (const answer of await askFrom(here, asks, "none")) expect(answer).toMatch(/^! Network is unreachable/);
  });

  test("neither the host's loopback nor its abstract sockets are reached", async ({ skip }) => {
    skip(missing !== "", missing);
    await using servers = await Servers.start(["127.0.0.1", "::1"]);
    const name = `cloister-network-${randomUUID()}`;
    const local = createServer((socket) => socket.end("abstract")).listen(`\0${name}`);
    try {
      await once(local, "listening");
      await using here = await start();
      // The gateways are there because pasta can take them for the host's loopback.
      const hosts = ["127.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.1", "0.0.0.0", "192.0.0.1", "192.0.0.6"];
      const asks = hosts.flatMap((host) => ["tcp", "udp"].map((kind) => `${kind},${host},${servers.port}`));
      for (const answer of await askFrom(here, [...asks, `abstract,${name},0`])) expect(answer).toMatch(/^!/);
    } finally {
      local.close();
    }
  });

  test("without the defence the host's loopback would be reached", async ({ skip }) => {
    skip(missing !== "", missing);
    await using servers = await Servers.start(["127.0.0.1"]);
    await using here = await start({ without: ["host_loopback_hidden"] });
    expect(await askFrom(here, [`tcp,192.0.0.6,${servers.port}`], outbound, patient)).toEqual(["tcp at 127.0.0.1"]);
  });

  test("blocked networks are not reached, not even by a socket that names its interface", async ({ skip }) => {
    skip(missing !== "", missing);
    skip(!isRoot, "needs root, to have such an address");
    using _lent = lend(metadata, lent);
    await using servers = await Servers.start([metadata, lent]);
    const asks = [metadata, lent].flatMap((host) => [
      `tcp,${host},${servers.port}`,
      `tcp,${host},${servers.port},eth0`,
      `udp,${host},${servers.port},eth0`,
    ]);
    const all: JailSpec["network"] = {
      kind: "outbound",
      blocked: ["203.0.113.0/24", metadata.concat("/16")],
      nameservers: [],
    };
    {
      await using here = await start();
      for (const answer of await askFrom(here, asks, all)) expect(answer).toMatch(/^!/);
      // By default only the one of them.
      for (const answer of await askFrom(here, asks.slice(0, 3))) expect(answer).toMatch(/^!/);
      expect(await askFrom(here, asks.slice(3), outbound, patient)).toEqual(
        ["tcp", "tcp", "udp"].map((kind) => `${kind} at ${lent}`),
      );
    }
    await using open = await start({ without: ["blocked_addresses"] });
    expect(await askFrom(open, asks.slice(1, 3), all, patient)).toEqual([`tcp at ${metadata}`, `udp at ${metadata}`]);
  });

  test("all addresses of one version can be blocked, and the other version's are reached", async ({ skip }) => {
    skip(missing !== "", missing);
    skip(own.length === 0, "needs an address besides the loopback's");
    await using servers = await Servers.start(own);
    await using here = await start();
    for (const blocked of ["0.0.0.0/0", "::/0"]) {
      const network = { kind: "outbound" as const, blocked: [blocked], nameservers: [] };
      const asks = own.map((host) => `tcp,${host},${servers.port}`);
      expect(await askFrom(here, asks, network, patient)).toEqual(
        own.map((host) =>
          host.includes(":") === blocked.includes(":") ? expect.stringMatching(/^!/) : `tcp at ${host}`,
        ),
      );
    }
  });

  test("names are asked of the given name servers", async ({ skip }) => {
    skip(missing !== "", missing);
    skip(!isRoot, "needs root, to serve names at port 53");
    using _lent = lend(lent);
    const asked = Promise.withResolvers<string>();
    const server = createSocket("udp4").on("message", (query) => asked.resolve(query.toString("latin1")));
    server.bind({ address: lent, port: 53, exclusive: true });
    try {
      await once(server, "listening");
      await using here = await start();
      const script = `cat /etc/resolv.conf; ${storeDirectory}/${busybox}/bin/busybox nslookup mirror.example >/dev/null 2>&1; true`;
      const over = new AbortController();
      asked.promise.then(() => over.abort());
      const network = { kind: "outbound" as const, blocked: [], nameservers: [lent] };
      const { answer, log } = await here.run(shellSpec(script, { outputs: [], network }), {}, over.signal);
      await here.launcher.discard([], [answer.view]);
      expect(log).toBe(`nameserver ${lent}\n`);
      expect(await asked.promise).toContain("\x06mirror\x07example");
    } finally {
      server.close();
    }
  });

  test("/etc has what looking up names needs, and none of it can be written", async ({ skip }) => {
    skip(missing !== "", missing);
    await using here = await start();
    const network: JailSpec["network"] = { kind: "outbound", blocked: [], nameservers: ["192.0.2.53", "2001:db8::53"] };
    const log = await here.shell(
      "ls /etc; cat /etc/resolv.conf; for f in /etc/*; do (echo x > $f) 2>/dev/null && echo wrote $f; done; rm -f /etc/hosts 2>/dev/null && echo removed; true",
      { network },
    );
    expect(log).toBe(
      "group\nhosts\nnsswitch.conf\npasswd\nresolv.conf\nservices\nnameserver 192.0.2.53\nnameserver 2001:db8::53\n",
    );
  });

  test("two builds with a way out do not reach each other", async ({ skip }) => {
    skip(missing !== "", missing);
    await using here = await start();
    const begun = Promise.withResolvers<string>();
    const cancel = new AbortController();
    const listens = "cat /proc/net/tcp* | grep -q ':0FA0 '"; // port 4000
    const script = `busybox nc -l -p 4000 & until ${listens}; do sleep 0.02; done; echo begun; sleep 100`;
    const spec = shellSpec(script, { outputs: [], network: outbound });
    const listening = here.launcher.build(
      { spec, candidates: [], outputs: [] },
      { onLog: (bytes) => begun.resolve(Buffer.from(bytes).toString()), signal: cancel.signal },
    );
    expect(await begun.promise).toBe("begun\n");
    const asks = ["192.0.0.2", "192.0.0.1", "fd5d:51a6:9e0c::2"].map((address) => `tcp,${address},4000`);
    for (const answer of await askFrom(here, asks)) expect(answer).toMatch(/^!/);
    cancel.abort();
    await here.launcher.discard([], [(await listening).view]);
  });

  test("nothing is left of it when the build is over, or the launcher is killed", async ({ skip }) => {
    skip(missing !== "", missing);
    await using here = await start();
    await here.shell("true", { network: outbound });
    expect(pastasOf(here.launcher.pid)).toEqual([]);

    const begun = Promise.withResolvers<void>();
    const spec = shellSpec("echo begun; sleep 100", { outputs: [], network: outbound });
    const building = here.launcher.build({ spec, candidates: [], outputs: [] }, { onLog: () => begun.resolve() });
    await begun.promise;
    const running = pastasOf(here.launcher.pid);
    expect(running).not.toEqual([]); // it has children now and then
    process.kill(here.launcher.pid, "SIGKILL");
    await expect(building).rejects.toMatchObject({ code: "LAUNCHER_GONE" });
    expect(running.filter(isPasta)).toEqual([]);
  });

  test("the builder neither sees nor can end what makes it", async ({ skip }) => {
    skip(missing !== "", missing);
    await using here = await start();
    const log = await here.shell("ps; kill -9 -1 2>/dev/null; true", { network: outbound });
    expect(log).not.toContain("pasta");
  });

  test("without pasta, and where it cannot run, the build fails and says why", async ({ skip }) => {
    skip(noStrength !== "", noStrength);
    const fail = async (program: string) => {
      await using here = await start({ pasta: program });
      const { answer } = await here.run(askSpec([]));
      await here.launcher.discard([], [answer.view]);
      return answer.ending;
    };
    expect(await fail("")).toMatchObject({ kind: "setup-failed", step: "open-network", path: "to find pasta" });
    expect(await fail("/nowhere/pasta")).toMatchObject({
      kind: "setup-failed",
      step: "open-network",
      path: expect.stringContaining("/nowhere/pasta: No such file or directory"),
    });
  });
});
