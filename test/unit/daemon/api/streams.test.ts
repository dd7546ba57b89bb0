import { expect, test } from "vitest";
import { limits } from "../../../../daemon/api/messages.ts";
import { IncomingStream, sendStream, Window } from "../../../../daemon/api/streams.ts";
import { collectBytes } from "../../../support/collect.ts";

async function* pieces(count: number, size: number): AsyncGenerator<Uint8Array> {
  for (let index = 0; index < count; index += 1) yield Buffer.alloc(size, index);
}

test("a stream arrives whole, and never more is on its way than the window allows", async () => {
  const window = new Window();
  const incoming = new IncomingStream(1, (bytes) => {
    onItsWay -= bytes;
    window.extend(bytes);
  });
  let onItsWay = 0;
  const sink = {
    sendChunk: (_: number, bytes: Uint8Array) => {
      onItsWay += bytes.length;
      expect(onItsWay).toBeLessThanOrEqual(limits.windowBytes);
      incoming.push(bytes);
    },
    drained: async () => {},
  };
  const sent = sendStream(sink, 1, window, pieces(10, 700_000)).then((complete) => {
    incoming.end();
    return complete;
  });
  expect(Buffer.compare(await collectBytes(incoming), await collectBytes(pieces(10, 700_000)))).toBe(0);
  expect(await sent).toBe(true);
});

test("a window's worth is taken without credit, one byte more is PROTOCOL_WINDOW_EXCEEDED", () => {
  const incoming = new IncomingStream(7, () => expect.unreachable());
  incoming.push(Buffer.alloc(limits.windowBytes));
  expect(() => incoming.push(Buffer.alloc(1))).toThrow(
    expect.objectContaining({ code: "PROTOCOL_WINDOW_EXCEEDED", details: { id: 7, limit: limits.windowBytes } }),
  );
});

test("the reader gets what was there before it learns of an error", async () => {
  const incoming = new IncomingStream(1, () => {});
  incoming.push(Buffer.from("all of it"));
  incoming.end(new Error("gone"));
  const seen: string[] = [];
  const reading = (async () => {
    for await (const piece of incoming) seen.push(Buffer.from(piece).toString());
  })();
  await expect(reading).rejects.toThrow("gone");
  expect(seen).toEqual(["all of it"]);
});

test("a source is ended early when nobody reads any more", async () => {
  let isEnded = false;
  async function* endless(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) yield Buffer.alloc(100_000);
    } finally {
      isEnded = true;
    }
  }
  const window = new Window();
  const sent = sendStream({ sendChunk: () => {}, drained: async () => {} }, 1, window, endless());
  setTimeout(() => window.close());
  expect(await sent).toBe(false);
  expect(isEnded).toBe(true);
});

test("who stops reading says so once, and not after the end", async () => {
  let stops = 0;
  const stopped = new IncomingStream(
    1,
    () => {},
    () => {
      stops += 1;
    },
  );
  stopped.push(Buffer.from("first"));
  for await (const _ of stopped) break;
  expect(stops).toBe(1);

  const whole = new IncomingStream(
    1,
    () => {},
    () => {
      stops += 1;
    },
  );
  whole.push(Buffer.from("all"));
  whole.end();
  await collectBytes(whole);
  expect(stops).toBe(1);
});
