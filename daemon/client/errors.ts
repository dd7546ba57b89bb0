/** What keeps a client from its daemon. */
import { errorClass, row } from "../../derivations/error.ts";

export const clientErrors = {
  DAEMON_GONE: row(
    (d: { socket: string; logTail: readonly string[] }) =>
      `the daemon at ${d.socket} went away before it had answered${tailOf(d.logTail)}`,
    "Run the command again: a daemon is started where none is; what was built before is kept",
  ),
  CLIENT_LEASES_LOST: row(
    (d: { socket: string; count: number; paths: readonly string[] }) =>
      `the daemon at ${d.socket} is another one than before, and ${d.count} paths that this client held are not held any more: ${d.paths.join(", ")}`,
    "Add or build them again: they were collected while no daemon knew of this client",
  ),
  DAEMON_OF_ANOTHER_STORE: row(
    (d: { socket: string; expected: string; found: string }) =>
      `the daemon at ${d.socket} serves ${d.found} now, and served ${d.expected} before`,
    "Connect anew to use the other store",
  ),
  DAEMON_NOT_FOUND: row(
    (d: { socket: string; reason: string }) => `no daemon listens at ${d.socket} (${d.reason})`,
    "Start one with `cloister daemon`, or leave out --socket and CLOISTER_SOCKET to use a store of your own",
  ),
  DAEMON_CONNECT_DENIED: row(
    (d: { socket: string }) => `the daemon's socket ${d.socket} may not be used by this user`,
    "Ask its owner to start it with --allow-user, or use a store of your own with --root",
  ),
  DAEMON_CONNECT_FAILED: row(
    (d: { socket: string; reason: string }) => `the daemon's socket ${d.socket} cannot be connected to: ${d.reason}`,
    "Check that the socket is a cloister daemon's and that its directory can be entered",
  ),
  DAEMON_START_FAILED: row(
    (d: { root: string; reason: string; advice: string; logFile: string; logTail: readonly string[] }) =>
      `the daemon of the store in ${d.root} did not start: ${d.reason}${tailOf(d.logTail)}`,
    (d) => `${d.advice || "See what `cloister doctor` says of this machine"}; the whole log is in ${d.logFile}`,
  ),
  DAEMON_NOT_REPLACED: row(
    (d: { socket: string; pid: number }) =>
      `the daemon at ${d.socket} (process ${d.pid}) is of another build of cloister and does not end when it is asked to`,
    "End it with `cloister daemon stop` or a SIGTERM, then run the command again",
  ),
} as const;

export const ClientError = errorClass(clientErrors, "ClientError");

function tailOf(lines: readonly string[]): string {
  return lines.length === 0 ? "" : `; the last lines of its log:\n${lines.map((line) => `  ${line}`).join("\n")}`;
}
