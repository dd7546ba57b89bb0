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
  const stopping = new Stopping();
  socket.on("error", () => stopping.stop()); // the launcher reads no further: its answer says why
  socket.on("drain", () => stopping.goOn());
  answer.then(
    () => stopping.stop(),
    () => stopping.stop(),
  );
  const abort = () => stopping.fail(signal?.reason);
  signal?.addEventListener("abort", abort);
  const pieces = archive[Symbol.asyncIterator]();
  try {
    for (;;) {
      const piece = await stopping.unlessStopped(pieces.next());
      if (piece === undefined) {
        void Promise.resolve(pieces.return?.()).catch(() => undefined);
        return;
      }
      if (piece.done) break;
      if (!socket.write(piece.value)) await stopping.until(() => !socket.writableNeedDrain);
    }
    await stopping.unlessStopped(new Promise<void>((resolve) => socket.end(resolve)));
  } catch (error) {
    void Promise.resolve(pieces.return?.()).catch(() => undefined);
    throw error;
  } finally {
    signal?.removeEventListener("abort", abort);
    socket.destroy();
  }
}

/**
 * What ends the feeding early. A promise that is raced with each piece would keep something of every piece until the end;
 * here only the one that is waited for is known.
 */
class Stopping {
  #isStopped = false;
  #failure: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;

  stop(): void {
    this.#isStopped = true;
    this.goOn();
  }

  fail(error: unknown): void {
    this.#failure ??= { error };
    this.goOn();
  }

  goOn(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  /** The value, or undefined when it is over before; throws what it failed with. */
  async unlessStopped<Value>(promise: Promise<Value>): Promise<Value | undefined> {
    let settled: { readonly value: Value } | undefined;
    promise.then(
      (value) => {
        settled = { value };
        this.goOn();
      },
      (error: unknown) => this.fail(error),
    );
    await this.until(() => settled !== undefined);
    return this.#isStopped ? undefined : settled?.value;
  }

  /** Or until it is over; throws what it failed with. */
  async until(isThere: () => boolean): Promise<void> {
    while (!this.#isStopped && this.#failure === undefined && !isThere())
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}
