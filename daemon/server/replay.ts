/**
 * Tells all of a request to who came later: its events in their order, and each build's log whole, out of its file, as
 * quickly as it is taken. Memory is bounded by what is read ahead of one log, however slow the reader is.
 */
import type { StorePath } from "../../derivations/store-path.ts";
import type { BuildEvent } from "../api/events.ts";
import type { KeptEvent } from "./kept-values.ts";

export interface ReplayOptions {
  readonly events: AsyncIterable<KeptEvent> | Iterable<KeptEvent>;
  /** Reads a log until its build has ended. */
  readonly readLog: (recordId: string, signal: AbortSignal) => AsyncIterable<Uint8Array>;
  /** Resolves when the build has written something, or will not. */
  readonly whenSpoken: (recordId: string) => Promise<void> | undefined;
  readonly onEvent: (event: BuildEvent) => unknown;
  readonly signal: AbortSignal;
}

/** A log that is being told. */
interface Telling {
  readonly recordId: string;
  readonly stop: AbortController;
  readonly done: Promise<void>;
}

/** Resolves when all has been told. Throws the signal's reason, and what reading a log throws. */
export async function replay(options: ReplayOptions): Promise<void> {
  const { onEvent, signal } = options;
  const tellings = new Map<StorePath, Telling>();
  try {
    for await (const event of options.events) {
      signal.throwIfAborted();
      if (event.kind === "build-finished") {
        await endTelling(tellings.get(event.drvPath), event.result.recordId);
        tellings.delete(event.drvPath);
      }
      if (event.kind === "build-started") {
        const earlier = tellings.get(event.drvPath); // of a check's other round
        await endTelling(earlier, earlier?.recordId);
      }
      await onEvent(event);
      if (event.kind === "build-started") tellings.set(event.drvPath, tellLog(event, options));
    }
    for (const telling of tellings.values()) await endTelling(telling, undefined);
    signal.throwIfAborted();
  } finally {
    for (const { stop } of tellings.values()) stop.abort();
  }
}

/** A build that has ended has all of its log told; one that goes on without this request is not waited for. */
async function endTelling(telling: Telling | undefined, endedRecord: string | undefined): Promise<void> {
  if (telling === undefined) return;
  if (telling.recordId !== endedRecord) telling.stop.abort();
  await telling.done;
}

function tellLog(started: KeptEvent & { kind: "build-started" }, options: ReplayOptions): Telling {
  const { drvPath, name, recordId } = started;
  const stop = new AbortController();
  const signal = AbortSignal.any([stop.signal, options.signal]);
  const tell = async () => {
    await untilAborted(options.whenSpoken(recordId), signal);
    for await (const bytes of options.readLog(recordId, signal)) {
      if (signal.aborted) return;
      await options.onEvent({ kind: "build-log", drvPath, name, bytes });
    }
  };
  const done = tell().catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
  done.catch(() => {}); // whoever waits for it gets the error; until then it is nobody's
  return { recordId, stop, done };
}

async function untilAborted(promise: Promise<void> | undefined, signal: AbortSignal): Promise<void> {
  if (promise === undefined || signal.aborted) return;
  const aborted = Promise.withResolvers<void>();
  const onAbort = () => aborted.resolve();
  signal.addEventListener("abort", onAbort, { once: true });
  await Promise.race([promise, aborted.promise]);
  signal.removeEventListener("abort", onAbort);
}
