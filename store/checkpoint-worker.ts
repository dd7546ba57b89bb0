/**
 * A thread that makes commits durable, with connections of its own, so that the main thread neither waits nor is waited
 * for.
 */
import { parentPort, workerData } from "node:worker_threads";
import { checkpoint, openForCheckpoints } from "./checkpoint.ts";

export interface CheckpointRequest {
  readonly id: number;
}

export interface CheckpointAnswer {
  readonly id: number;
  /** There if something of it was not brought to disk. */
  readonly error?: { readonly message: string; readonly code: string };
}

const connections = (workerData as { readonly files: readonly string[] }).files.map(openForCheckpoints);

parentPort?.on("message", ({ id }: CheckpointRequest) => {
  parentPort?.postMessage({ id, ...tryCheckpoint() } satisfies CheckpointAnswer);
});

function tryCheckpoint(): Pick<CheckpointAnswer, "error"> {
  try {
    checkpoint(connections);
    return {};
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    return { error: { message: error instanceof Error ? error.message : String(error), code } };
  }
}
