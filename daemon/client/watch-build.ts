/** A build as an object: its events to iterate over, its results to await, a way to cancel it. Over any `Service`. */
import type { BuildResult } from "../../derivations/build-result.ts";
import type { DerivedPath } from "../../derivations/derived-path.ts";
import type { BuildEvent } from "../api/events.ts";
import type { BuildOptions, Service } from "../api/service.ts";

export interface BuildRun extends AsyncDisposable {
  /**
   * What goes on, from the plan to the last end; to be iterated over once, and ends when the build does. A reader that is
   * slower than the builders misses bytes of their logs, and is told in the log how many; it never misses anything else.
   */
  readonly events: AsyncIterable<BuildEvent>;
  /** One for each target, in their order. A failed build is a result; rejects with what `Service.build` throws. */
  readonly results: Promise<readonly BuildResult[]>;
  /** What nobody else wants of it is stopped; `results` rejects with the reason. Disposing does it, too. */
  cancel(reason?: unknown): void;
}

export const defaultBuildOptions: BuildOptions = {
  ...{ mode: "normal", keepGoing: false, cores: 0, timeoutMs: 0, silenceMs: 0 },
};

/** Starts at once. */
export function watchBuild(
  service: Service,
  targets: readonly DerivedPath[],
  options: Partial<Omit<BuildOptions, "onEvent">> = {},
): BuildRun {
  const abort = new AbortController();
  const { signal: given, ...rest } = options;
  const signal = given === undefined ? abort.signal : AbortSignal.any([given, abort.signal]);
  const queue = new EventQueue();
  const results = service.build(targets, {
    ...{ ...defaultBuildOptions, ...rest, signal },
    onEvent: (event) => queue.push(event),
  });
  const ended = results.then(
    () => queue.end(),
    () => queue.end(), // whoever awaits the results is told; an iteration just ends
  );
  return {
    events: queue,
    results,
    cancel: (reason) => abort.abort(reason),
    [Symbol.asyncDispose]: async () => {
      abort.abort();
      await ended;
    },
  };
}

/** How many bytes of logs wait for their reader, at most. */
const mostLogBytes = 4 * 1024 * 1024;

class EventQueue implements AsyncIterable<BuildEvent> {
  #events: BuildEvent[] = [];
  #logBytes = 0;
  readonly #skippedBytes = new Map<string, number>();
  #isOver = false;
  #waiting: PromiseWithResolvers<void> | undefined;

  push(event: BuildEvent): void {
    // Once something was left out, half must have been read before there is more: few notes, and not one for each piece.
    const roomBytes = this.#skippedBytes.size > 0 ? mostLogBytes / 2 : mostLogBytes;
    if (event.kind === "build-log" && this.#logBytes + event.bytes.length > roomBytes) {
      this.#skippedBytes.set(event.drvPath, (this.#skippedBytes.get(event.drvPath) ?? 0) + event.bytes.length);
      return;
    }
    if (event.kind === "build-log" || event.kind === "build-finished") this.#noteSkipped(event);
    this.#append(event);
    this.#waiting?.resolve();
  }

  end(): void {
    this.#isOver = true;
    this.#waiting?.resolve();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<BuildEvent, void, undefined> {
    for (;;) {
      const events = this.#events;
      this.#events = [];
      for (const event of events) {
        if (event.kind === "build-log") this.#logBytes -= event.bytes.length;
        yield event;
      }
      if (this.#events.length > 0) continue;
      if (this.#isOver) return;
      this.#waiting = Promise.withResolvers<void>();
      await this.#waiting.promise;
    }
  }

  #noteSkipped({ drvPath, name }: BuildEvent & { kind: "build-log" | "build-finished" }): void {
    const count = this.#skippedBytes.get(drvPath);
    if (count === undefined) return;
    this.#skippedBytes.delete(drvPath);
    const note = `\n[cloister: ${count} bytes of the log left out here: its reader is too slow]\n`;
    this.#append({ kind: "build-log", drvPath, name, bytes: new TextEncoder().encode(note) });
  }

  #append(event: BuildEvent): void {
    if (event.kind === "build-log") this.#logBytes += event.bytes.length;
    this.#events.push(event);
  }
}
