import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bodyOf, encodeFrame } from "../../../../daemon/api/frames.ts";
import { limits, protocolVersion } from "../../../../daemon/api/messages.ts";
import { hello, RawConnection } from "../../../support/raw-connection.ts";
import { fileNar } from "../../../support/temporary-store.ts";
import { TestDaemon } from "../../../support/test-daemon.ts";

let daemon: TestDaemon;
beforeAll(async () => {
  daemon = await TestDaemon.start();
});
afterAll(async () => {
  await daemon[Symbol.asyncDispose]();
});

const someText = { name: "note", contents: Buffer.from("some text"), references: [] };

describe("what ends a connection, and that one alone", () => {
  test.each<[string, (connection: RawConnection) => void, string]>([
    ["garbage", (raw) => raw.write(Buffer.from("GET / HTTP/1.1\r\n\r\n")), "PROTOCOL_FRAME_TOO_LONG"],
    ["a frame of no message", (raw) => raw.send(["hello"]), "PROTOCOL_MESSAGE_INVALID"],
    ["an empty frame", (raw) => raw.write(Buffer.alloc(4)), "PROTOCOL_FRAME_INVALID"],
    ["a body that is no msgpack", (raw) => raw.write(Buffer.from([0, 0, 0, 1, 0xc1])), "PROTOCOL_FRAME_INVALID"],
    [
      "a request before the hello",
      (raw) => raw.send({ kind: "request", id: 1, method: "status", params: {} }),
      "PROTOCOL_MESSAGE_INVALID",
    ],
    ["a second hello", (raw) => raw.send(hello, hello), "PROTOCOL_MESSAGE_INVALID"],
    [
      "a message of the daemon's",
      (raw) => raw.send(hello, { kind: "result", id: 1, value: null }),
      "PROTOCOL_MESSAGE_INVALID",
    ],
    [
      "another major version",
      (raw) => raw.send({ ...hello, protocol: { major: protocolVersion.major + 1, minor: 0 } }),
      "PROTOCOL_VERSION_UNSUPPORTED",
    ],
    [
      "a part within a part",
      (raw) => raw.send(hello, { kind: "part", bytes: Buffer.from([0xc0]), last: false }, { kind: "end", id: 1 }),
      "PROTOCOL_MESSAGE_INVALID",
    ],
    [
      "an upload that nobody asked for",
      (raw) => {
        raw.send(hello, { kind: "request", id: 1, method: "readLog", params: { recordId: "none", follow: true } });
        raw.send({ kind: "chunk", id: 1, bytes: Buffer.alloc(1) });
      },
      "PROTOCOL_MESSAGE_INVALID",
    ],
  ])("%s", async (_, misbehave, code) => {
    await using other = await daemon.connect();
    using raw = await RawConnection.open(daemon.socket);
    misbehave(raw);
    expect((await raw.refusal()).code).toBe(code);
    await raw.closed;
    expect((await other.status()).pid).toBe(process.pid);
  });

  test("more in parts than a message may have", async () => {
    using raw = await RawConnection.greet(daemon.socket);
    const bytes = Buffer.alloc(1024 * 1024 - 100);
    for (let sent = 0; sent <= limits.messageBytes; sent += bytes.length)
      raw.send({ kind: "part", bytes, last: false });
    expect((await raw.refusal()).code).toBe("PROTOCOL_MESSAGE_TOO_LONG");
    await raw.closed;
  });

  test("half a frame and then silence hold up nobody", async () => {
    using raw = await RawConnection.greet(daemon.socket);
    raw.write(Buffer.from([0, 0, 1, 0, 0x83]));
    await using other = await daemon.connect();
    expect((await other.status()).connections).toBeGreaterThan(1);
    raw.socket.end();
    await raw.closed;
  });
});

describe("what is one request's error", () => {
  test.each<[string, object, string]>([
    ["a method that is not there", { method: "fly", params: {} }, "PROTOCOL_METHOD_UNKNOWN"],
    ["a method's name that every object has", { method: "toString", params: {} }, "PROTOCOL_METHOD_UNKNOWN"],
    ["no parameters", { method: "queryPathInfo", params: null }, "PROTOCOL_PARAMS_INVALID"],
    ["a parameter of another type", { method: "queryPathInfo", params: { path: 1 } }, "PROTOCOL_PARAMS_INVALID"],
    ["a path that cannot be", { method: "queryPathInfo", params: { path: "../etc/passwd" } }, "STORE_PATH_INVALID"],
    ["a name that cannot be", { method: "addText", params: { ...someText, name: ".." } }, "STORE_PATH_NAME_INVALID"],
    [
      "a relative link",
      { method: "addIndirectRoot", params: { link: "result", path: `${"0".repeat(32)}-a` } },
      "PROTOCOL_PARAMS_INVALID",
    ],
  ])("%s", async (_, request, code) => {
    using raw = await RawConnection.greet(daemon.socket);
    raw.send({ kind: "request", id: 5, ...request });
    expect(await raw.answer(5)).toMatchObject({ kind: "error", code });
    raw.send({ kind: "request", id: 5, method: "status", params: {} }); // the id is free again, the connection is open
    await raw.next((message) => message.kind === "result" && message.id === 5);
  });

  test("one request more than may be open", async () => {
    using raw = await RawConnection.greet(daemon.socket);
    const upload = { method: "addSource", params: { name: "a", method: { kind: "source", references: [] } } };
    for (let id = 1; id <= limits.openRequests + 1; id += 1) raw.send({ kind: "request", id, ...upload });
    expect(await raw.answer(limits.openRequests + 1)).toMatchObject({ code: "PROTOCOL_TOO_MANY_REQUESTS" });
    for (let id = 1; id <= limits.openRequests; id += 1) raw.send({ kind: "cancel", id });
    for (const id of [1, limits.openRequests]) expect(await raw.answer(id)).toMatchObject({ kind: "error" });
  });

  test("a request that is cancelled is answered by REQUEST_CANCELLED", async () => {
    using raw = await RawConnection.greet(daemon.socket);
    raw.send({
      kind: "request",
      id: 1,
      method: "addSource",
      params: { name: "a", method: { kind: "source", references: [] } },
    });
    raw.send({ kind: "chunk", id: 1, bytes: fileNar("not all of it").subarray(0, 50) }, { kind: "cancel", id: 1 });
    expect(await raw.answer(1)).toMatchObject({ kind: "error", code: "REQUEST_CANCELLED" });
  });

  test("an archive that is cut off is the archive's error", async () => {
    using raw = await RawConnection.greet(daemon.socket);
    raw.send({
      kind: "request",
      id: 1,
      method: "addSource",
      params: { name: "a", method: { kind: "source", references: [] } },
    });
    raw.send({ kind: "chunk", id: 1, bytes: fileNar("not all of it").subarray(0, 50) }, { kind: "end", id: 1 });
    expect(await raw.answer(1)).toMatchObject({ kind: "error", code: "NAR_TRUNCATED" });
  });
});

describe("requests side by side", () => {
  test("a later request is answered while an earlier one still uploads", async () => {
    using raw = await RawConnection.greet(daemon.socket);
    const archive = fileNar("slow upload");
    raw.send({
      kind: "request",
      id: 1,
      method: "addSource",
      params: { name: "slow", method: { kind: "source", references: [] } },
    });
    raw.send({ kind: "chunk", id: 1, bytes: archive.subarray(0, 64) });
    raw.send({ kind: "request", id: 2, method: "status", params: {} });
    expect(await raw.answer(2)).toMatchObject({ kind: "result" });
    raw.send({ kind: "chunk", id: 1, bytes: archive.subarray(64) }, { kind: "end", id: 1 });
    expect(await raw.answer(1)).toMatchObject({ kind: "result" });
  });

  test("a message in parts is one message", async () => {
    using raw = await RawConnection.greet(daemon.socket);
    const contents = Buffer.alloc(3 * 1024 * 1024, "long ");
    const body = bodyOf(encodeFrame({ kind: "request", id: 1, method: "addText", params: { ...someText, contents } }));
    for (let at = 0; at < body.length; at += 500_000)
      raw.send({ kind: "part", bytes: body.subarray(at, at + 500_000), last: at + 500_000 >= body.length });
    expect(await raw.answer(1)).toMatchObject({ kind: "result" });
  });
});

describe("leases", () => {
  const leases = async () => {
    await using client = await daemon.connect();
    return (await client.listRoots()).filter(({ kind }) => kind === "lease").map(({ path }) => path);
  };

  test("what a connection added is held until it is closed, also when its client just vanishes", async () => {
    const client = await daemon.connect();
    const path = await client.addText("held", Buffer.from("held by a lease"), []);
    expect(await leases()).toContain(path);
    await client[Symbol.asyncDispose]();
    await expect.poll(leases).not.toContain(path);

    const raw = await RawConnection.greet(daemon.socket);
    raw.send({ kind: "request", id: 1, method: "addText", params: { ...someText, name: "vanishing" } });
    const answer = await raw.answer(1);
    const second = answer.kind === "result" ? (answer.value as string) : "";
    expect(await leases()).toContain(second);
    raw.socket.destroy();
    await expect.poll(leases).not.toContain(second);
  });

  test("an upload whose client vanishes leaves nothing", async () => {
    const raw = await RawConnection.greet(daemon.socket);
    raw.send({
      kind: "request",
      id: 1,
      method: "addSource",
      params: { name: "half", method: { kind: "source", references: [] } },
    });
    raw.send({ kind: "chunk", id: 1, bytes: fileNar("half of it only").subarray(0, 60) });
    raw.socket.destroy();
    await using client = await daemon.connect();
    await expect.poll(async () => (await client.status()).connections).toBe(1);
    expect(await client.queryBuildRecords({ limit: 10 })).toEqual([]);
  });
});
