/** A stream of bytes on its way into a pipe whose other end another process reads. */
import { Socket } from "node:net";

/**
 * Writes all of the archive to the pipe, as fast as it is read, and closes it. Ends early without an error when the reader
 * closes its end or `answer` is settled, for then the answer says why; fails with what the archive or the signal fails with.
 */
export async function feedPipe(
  archive: AsyncIterable<Uint8Array>,
  writeEnd: number,
  answer: Promise<unknown>,
  signal?: AbortSignal,
): Promise<void> {
  const socket = new Socket({ fd: writeEnd, readable: false, writable: true });
  const stop = Promise.withResolvers<"stop">();
  stop.promise.catch(() => undefined); // it may be rejected while nothing waits for it
  socket.on("error", () => stop.resolve("stop")); // the launcher reads no further: its answer says why
  answer.then(
    () => stop.resolve("stop"),
    () => stop.resolve("stop"),
  );
  const abort = () => stop.reject(signal?.reason);
  signal?.addEventListener("abort", abort);
  const pieces = archive[Symbol.asyncIterator]();
  try {
    for (;;) {
      const piece = await Promise.race([pieces.next(), stop.promise]);
      if (piece === "stop") {
        void Promise.resolve(pieces.return?.()).catch(() => undefined);
        return;
      }
      if (piece.done) break;
      if (!socket.write(piece.value)) {
        const drained = new Promise<"drained">((resolve) => socket.once("drain", () => resolve("drained")));
        await Promise.race([drained, stop.promise]);
      }
    }
    await Promise.race([new Promise<void>((resolve) => socket.end(resolve)), stop.promise]);
  } catch (error) {
    void Promise.resolve(pieces.return?.()).catch(() => undefined);
    throw error;
  } finally {
    signal?.removeEventListener("abort", abort);
    socket.destroy();
  }
}
