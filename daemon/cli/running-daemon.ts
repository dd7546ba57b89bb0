/** The daemon that runs for the store of a command, for what would make no sense of one that is started for it. */
import { CloisterError } from "../../derivations/error.ts";
import type { Client } from "../client/client.ts";
import { connect } from "../client/find-daemon.ts";
import { type Context, connectOptions } from "./context.ts";

/** Undefined where none runs. */
export async function findRunning(context: Context): Promise<Client | undefined> {
  try {
    return await connect({ ...connectOptions(context.options), start: false, signal: context.signal });
  } catch (error) {
    if (error instanceof CloisterError && error.code === "DAEMON_NOT_FOUND") return undefined;
    throw error;
  }
}
