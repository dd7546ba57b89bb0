/** What the daemon refuses, and what keeps it from listening. */
import { errorClass, row } from "../../derivations/error.ts";

export const serverErrors = {
  CALLER_NOT_ALLOWED: row(
    (d: { uid: number }) => `the user with id ${d.uid} may not use this daemon`,
    "Ask its owner to name you, or a group of yours, in `allowedUsers`, or use a store of your own with --root",
  ),
  OPERATION_NOT_ALLOWED: row(
    (d: { method: string; uid: number }) =>
      `${d.method} is for trusted users, and the user with id ${d.uid} is not one`,
    "Ask the daemon's owner to do it, or to name you in `trustedUsers`; docs/trust.md lists who may do what",
  ),
  PRIORITY_NOT_ALLOWED: row(
    (d: { priority: number; reason: string }) => `the priority ${d.priority} may not be asked for: ${d.reason}`,
    "Ask for one from -100 to 0, or leave it out; a trusted user may give up to 100",
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
  REQUEST_UNKNOWN: row(
    (d: { id: string }) => `there is no request and no running build ${JSON.stringify(d.id)}`,
    "`cloister ps` lists what runs and waits; one that was detached is kept for a day after its end",
  ),
  REQUEST_NOT_YOURS: row(
    (d: { id: string; uid: number; owner: number }) =>
      `${d.id} was asked for by the user with id ${d.owner}; the user with id ${d.uid} may only see it in \`cloister ps\``,
    "Ask that user or a trusted one to do it",
  ),
  REQUEST_NOT_DETACHED: row(
    (d: { id: string }) => `the request ${d.id} belongs to its client alone, and cannot be attached to`,
    "Follow one of its builds with `cloister log --follow`; what was started with `--detach` or `--on-disconnect keep` can be attached to",
  ),
  REQUEST_SUSPENDED: row(
    (d: { id: string }) => `the daemon is ending; the request ${d.id} is kept, and goes on with the next one`,
    (d) => `\`cloister attach ${d.id}\` starts a daemon where none runs, and shows it from its beginning`,
  ),
  REQUEST_UNREADABLE: row(
    (d: { id: string }) => `what is kept of the request ${d.id} cannot be read: another version of cloister wrote it`,
    "Ask for the build again: what it had built is kept",
  ),
  REQUESTS_TOO_MANY: row(
    (d: { uid: number; limit: number }) =>
      `the user with id ${d.uid} has ${d.limit} requests without a client already, and no more may be kept`,
    "Wait until one has ended, or end one with `cloister cancel`",
  ),
  KEPT_BUILD_NOT_FOUND: row(
    (d: { recordId: string; problem: string | undefined }) =>
      `nothing is kept of what the build ${d.recordId} left${d.problem === undefined ? "" : `: ${d.problem}`}`,
    "Build it again with `--keep-failed`; only what fails is kept, and newer ones take the place of the oldest",
  ),
  BUILD_RECORD_NOT_FOUND: row(
    (d: { recordId: string }) => `there is no record of a build ${JSON.stringify(d.recordId)}`,
    "`cloister log NAME` finds the builds of a name; records end with the paths they are about",
  ),
} as const;

export const ServerError = errorClass(serverErrors, "ServerError");
