import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Client } from "../../../../daemon/client/client.ts";
import { AuditLog } from "../../../../daemon/server/audit-log.ts";
import { openLogger } from "../../../../daemon/server/logger.ts";
import { LocalBuilds, options } from "../../../support/local-builds.ts";
import { RawConnection } from "../../../support/raw-connection.ts";
import { TestDaemon } from "../../../support/test-daemon.ts";

const endless = "while :; do :; done";

test("one connection more than may be: DAEMON_FULL, and room again when one has closed", async () => {
  await using daemon = await TestDaemon.start({ maxConnections: 2 });
  const first = await daemon.connect();
  await using _second = await daemon.connect();
  await expect(daemon.connect()).rejects.toMatchObject({ code: "DAEMON_FULL", details: { limit: 2 } });
  await first[Symbol.asyncDispose]();
  await expect.poll(() => daemon.daemon.connections).toBeLessThan(2);
  await using third = await daemon.connect();
  expect((await third.status()).connections).toBe(2);
});

test("who is not allowed: CALLER_NOT_ALLOWED", async () => {
  await using daemon = await TestDaemon.start({ trust: { allowedUids: new Set(), trustedUids: new Set() } });
  await expect(daemon.connect()).rejects.toMatchObject({
    code: "CALLER_NOT_ALLOWED",
    details: { uid: process.getuid?.() },
  });
});

test("who is not trusted is told so: OPERATION_NOT_ALLOWED, and has to prove what is added", async () => {
  await using daemon = await TestDaemon.start({ trust: { allowedUids: "all", trustedUids: new Set() } });
  await using client = await daemon.connect();
  expect(client.trusted).toBe(false);
  await tryWhatOnlyTrustedMay(client);
});

/** What it added, and how it tried to add the same under another path. */
async function tryWhatOnlyTrustedMay(client: Client) {
  await expect(client.shutdown({ drainMs: 0 })).rejects.toMatchObject({ code: "OPERATION_NOT_ALLOWED" });
  const path = await client.addText("mine", Buffer.from("mine"), []);
  const info = await client.queryPathInfo(path);
  const { contentAddress: _, ...unproven } = info as NonNullable<typeof info>;
  const other = { ...unproven, path: `${"0".repeat(32)}-other` as typeof path };
  await expect(client.addNar(other, client.readNar(path))).rejects.toMatchObject({ code: "STORE_PATH_UNPROVEN" });
  return { path, info: info as NonNullable<typeof info>, other };
}

test("all that is refused for who asks is in the audit log, and what a trusted user proves is not", async () => {
  const folder = mkdtempSync(join(tmpdir(), "cloister-audited-"));
  const file = join(folder, "audit.log");
  const log = openLogger("silent", { readable: false });
  {
    using audit = new AuditLog({ file, log });
    await using daemon = await TestDaemon.start({ audit, trust: { allowedUids: "all", trustedUids: new Set() } });
    await using client = await daemon.connect();
    const { path, info, other } = await tryWhatOnlyTrustedMay(client);

    const limits = { mode: 0o600, maxConnections: 10, idleExitMs: 0 };
    const uid = process.getuid?.() ?? 0;
    daemon.daemon.reconfigure({ ...limits, trust: { allowedUids: "all", trustedUids: new Set([uid]) } });
    await client.addNar(info, client.readNar(path));
    await client.addNar(other, client.readNar(path));
    daemon.daemon.reconfigure({ ...limits, trust: { allowedUids: new Set(), trustedUids: new Set() } });
    await expect(daemon.connect()).rejects.toMatchObject({ code: "CALLER_NOT_ALLOWED" });
    await expect(client.reload()).rejects.toMatchObject({ code: "OPERATION_NOT_ALLOWED" });
    expect((await client.status()).pid).toBe(process.pid); // what was connected goes on
  }
  const lines = readFileSync(file, "utf8").trimEnd().split("\n");
  rmSync(folder, { recursive: true });
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    { outcome: "refused", operation: "shutdown", details: { code: "OPERATION_NOT_ALLOWED" } },
    { outcome: "refused", operation: "addNar", details: { code: "STORE_PATH_UNPROVEN" } },
    { outcome: "allowed", operation: "addNar", details: { path: `${"0".repeat(32)}-other` } },
    { outcome: "refused", operation: "connect", details: { code: "CALLER_NOT_ALLOWED" } },
    { outcome: "refused", operation: "reload", details: { code: "OPERATION_NOT_ALLOWED" } },
  ]);
});

test("nobody there any more: it ends, and the next one finds no socket", async () => {
  await using daemon = await TestDaemon.start({ idleExitMs: 50 });
  const client = await daemon.connect();
  await new Promise((resolve) => setTimeout(resolve, 120));
  expect((await client.status()).pid).toBe(process.pid); // idle only without connections
  await client[Symbol.asyncDispose]();
  await daemon.daemon.stopped;
  expect(existsSync(daemon.socket)).toBe(false);
  await expect(daemon.connect()).rejects.toMatchObject({ code: "ENOENT" });
});

test("shutdown: what runs may end, new work is refused: DAEMON_STOPPING", async () => {
  await using daemon = await TestDaemon.start();
  await using client = await daemon.connect();
  const builds = await LocalBuilds.over(client, daemon.root);
  const slow = await builds.derive({
    name: "slow",
    script: "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo done > $out",
  });
  const started = Promise.withResolvers<void>();
  const building = client.build([slow.target], {
    ...options,
    onEvent: (event) => event.kind === "build-started" && started.resolve(),
  });
  await started.promise;
  await client.shutdown({ drainMs: 50_000 });
  await expect(client.addText("late", Buffer.from(""), [])).rejects.toMatchObject({ code: "DAEMON_STOPPING" });
  expect(await building).toMatchObject([{ status: "built" }]);
  await daemon.daemon.stopped;
});

test("shutdown without time cancels what runs", async () => {
  await using daemon = await TestDaemon.start();
  await using client = await daemon.connect();
  const builds = await LocalBuilds.over(client, daemon.root);
  const derived = await builds.derive({ name: "endless", script: endless });
  const building = client.build([derived.target], {
    ...options,
    onEvent: (event) => event.kind === "build-started" && void client.shutdown({ drainMs: 0 }),
  });
  const [result] = await building;
  expect(result).toMatchObject({ status: "cancelled", error: { code: "BUILD_CANCELLED" } });
  await daemon.daemon.stopped;
});

test("a client that vanishes takes its build with it, and nobody else's", async () => {
  await using daemon = await TestDaemon.start();
  const vanishing = await daemon.connect();
  await using staying = await daemon.connect();
  const builds = await LocalBuilds.over(staying, daemon.root);
  const derived = await builds.derive({ name: "endless", script: endless });
  const started = Promise.withResolvers<void>();
  const building = vanishing.build([derived.target], {
    ...options,
    onEvent: (event) => event.kind === "build-started" && started.resolve(),
  });
  const gone = expect(building).rejects.toMatchObject({ code: "DAEMON_GONE" });
  await started.promise;
  await vanishing[Symbol.asyncDispose]();
  await gone;
  await expect.poll(async () => (await staying.status()).runningBuilds).toBe(0);
  expect((await builds.build({ name: "after", script: "echo fine > $out" })).result.status).toBe("built");
});

test("what should not happen is INTERNAL_ERROR, and the connection goes on", async () => {
  await using daemon = await TestDaemon.start();
  await using client = await daemon.connect();
  const path = await client.addText("kept", Buffer.from("kept"), []);
  await daemon.service[Symbol.asyncDispose](); // the databases are closed under the connection
  await expect(client.queryPathInfo(path)).rejects.toMatchObject({
    code: "INTERNAL_ERROR",
    hint: expect.stringMatching(/the daemon's log, where it is the request \d+\/\d+$/),
    details: { method: "queryPathInfo" },
  });
  expect(await client.queryValidPaths([path])).toEqual([path]);
});

test("a client that does not read misses bytes of the log, is told so, and holds up nobody", async () => {
  await using daemon = await TestDaemon.start();
  await using other = await daemon.connect();
  const builds = await LocalBuilds.over(other, daemon.root);
  const logBytes = 30_000_000;
  const script = `head -c ${logBytes} /dev/zero | tr '\\0' x; echo made > $out`;
  const { drvPath } = await builds.derive({ name: "talkative", script });

  using slow = await RawConnection.greet(daemon.socket);
  const { mode, keepGoing, cores, timeoutMs, silenceMs } = options;
  const target = { kind: "built", drvPath, outputs: "all" };
  const params = { targets: [target], mode, keepGoing, cores, timeoutMs, silenceMs, events: true };
  slow.socket.pause();
  slow.send({ kind: "request", id: 1, method: "build", params });
  await expect
    .poll(() => other.queryBuildRecords({ text: "talkative", limit: 1 }), { timeout: 30_000 })
    .toMatchObject([{ status: "done" }]);

  slow.socket.resume();
  expect(await slow.answer(1)).toMatchObject({ kind: "result", value: [{ status: "built" }] });
  const events = slow.received.flatMap((message) =>
    message.kind === "event" ? [message.event as { kind: string; bytes?: Uint8Array }] : [],
  );
  expect([events[0]?.kind, events[1]?.kind, events.at(-1)?.kind]).toEqual(["plan", "build-started", "build-finished"]);
  const shown = events.flatMap(({ bytes }) => (bytes === undefined ? [] : [Buffer.from(bytes)]));
  const seen = Buffer.concat(shown).toString();
  expect(seen.length).toBeLessThan(logBytes / 2);
  expect(seen).toMatch(/bytes of the log left out here: its reader is too slow\]\n$/);
  const [record] = await other.queryBuildRecords({ text: "talkative", limit: 1 });
  expect((await builds.log(record?.id)).length).toBe(logBytes);
});
