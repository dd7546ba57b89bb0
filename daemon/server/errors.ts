/** What the daemon refuses, and what keeps it from listening. */
import { errorClass, row } from "../../derivations/error.ts";

export const serverErrors = {
  CALLER_NOT_ALLOWED: row(
    (d: { uid: number }) => `the user with id ${d.uid} may not use this daemon`,
    "Ask its owner to start it with `--allow-user`, or use a store of your own with --root",
  ),
  OPERATION_NOT_ALLOWED: row(
    (d: { method: string; uid: number }) =>
      `${d.method} is for trusted users, and the user with id ${d.uid} is not one`,
    "Ask the daemon's owner to do it, or to start it with `--trust-user`",
  ),
  DAEMON_FULL: row(
    (d: { limit: number }) => `the daemon already has ${d.limit} connections`,
    "Try again when other clients have ended, or start the daemon with a greater --max-connections",
  ),
  DAEMON_STOPPING: row(
    (_: Record<string, never>) => "the daemon is ending and takes no new work",
    "Run the command again in a moment: a new daemon is started where none is",
  ),
  SOCKET_IN_USE: row(
    (d: { socket: string }) => `another process listens at ${d.socket}`,
    "End that one first, or give this daemon another socket with --socket",
  ),
  SOCKET_UNUSABLE: row(
    (d: { socket: string; reason: string }) => `the socket ${d.socket} cannot be made: ${d.reason}`,
    "Check that its directory exists and can be written, or give another one with --socket",
  ),
  BUILD_RECORD_NOT_FOUND: row(
    (d: { recordId: string }) => `there is no record of a build ${JSON.stringify(d.recordId)}`,
    "`cloister log NAME` finds the builds of a name; records end with the paths they are about",
  ),
} as const;

export const ServerError = errorClass(serverErrors, "ServerError");
