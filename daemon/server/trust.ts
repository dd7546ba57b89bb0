/** Who may do what: a caller is known by the kernel's word alone, and each request's row names the role it needs. */
import { CloisterError } from "../../derivations/error.ts";
import { type Method, type MethodName, methods } from "../api/msgpack-messages.ts";
import { priorities } from "../api/priorities.ts";
import type { Caller } from "../api/service.ts";
import { ServerError } from "./errors.ts";

export interface TrustPolicy {
  /** Users who may connect; "all" for a system's daemon. Trusted users may always. */
  readonly allowedUids: "all" | ReadonlySet<number>;
  /** Users who may say what cannot be checked, and change what is others'. */
  readonly trustedUids: ReadonlySet<number>;
  /** The same for all who are in one of these groups, by the kernel's word: as they were when they connected. */
  readonly allowedGids?: ReadonlySet<number>;
  readonly trustedGids?: ReadonlySet<number>;
}

/** Users and groups, by number. */
export interface Members {
  readonly uids: Iterable<number>;
  readonly gids: Iterable<number>;
}

/** What the kernel says of the process at the other end of a socket. */
export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  /** The others that it is in; absent where the kernel cannot say (before Linux 4.13). */
  readonly groups?: readonly number[];
}

/** The daemon's own user and root are trusted: they could write the store's files without asking. */
export function makeTrustPolicy(
  ownUid: number,
  more: { readonly allowed: "all" | Members; readonly trusted: Members },
): TrustPolicy {
  const { allowed, trusted } = more;
  return {
    allowedUids: allowed === "all" ? "all" : new Set(allowed.uids),
    allowedGids: new Set(allowed === "all" ? [] : allowed.gids),
    trustedUids: new Set([ownUid, 0, ...trusted.uids]),
    trustedGids: new Set(trusted.gids),
  };
}

/** Throws CALLER_NOT_ALLOWED. */
export function admit(policy: TrustPolicy, peer: PeerCredentials): Caller {
  const { uid, gid, pid } = peer;
  const trusted = isTrusted(policy, peer);
  const { allowedUids } = policy;
  if (!trusted && allowedUids !== "all" && !allowedUids.has(uid) && !isMember(peer, policy.allowedGids))
    throw new ServerError("CALLER_NOT_ALLOWED", { uid });
  return { uid, gid, pid, trusted };
}

export function isTrusted(policy: TrustPolicy, peer: PeerCredentials): boolean {
  return policy.trustedUids.has(peer.uid) || isMember(peer, policy.trustedGids);
}

function isMember(peer: PeerCredentials, gids: ReadonlySet<number> | undefined): boolean {
  if (gids === undefined || gids.size === 0) return false;
  return gids.has(peer.gid) || peer.groups?.some((gid) => gids.has(gid)) === true;
}

/** Throws PRIORITY_NOT_ALLOWED. */
export function assertPriority(priority: number | undefined, caller: Caller): void {
  if (priority === undefined) return;
  if (priority < priorities.least || priority > priorities.most)
    throw new ServerError("PRIORITY_NOT_ALLOWED", { priority, reason: "the least is -100, the most is 100" });
  if (priority > 0 && !caller.trusted)
    throw new ServerError("PRIORITY_NOT_ALLOWED", { priority, reason: "only trusted users may go before others" });
}

/** Throws OPERATION_NOT_ALLOWED. */
export function authorise(method: MethodName, caller: Caller): void {
  if (methods[method].role === "trusted" && !caller.trusted)
    throw new ServerError("OPERATION_NOT_ALLOWED", { method, uid: caller.uid });
}

/** Codes of what a caller was refused for who it is: the audit log has each. */
const refusals: ReadonlySet<string> = new Set([
  "CALLER_NOT_ALLOWED",
  "OPERATION_NOT_ALLOWED",
  "PRIORITY_NOT_ALLOWED",
  "STORE_PATH_UNPROVEN",
  "REQUEST_NOT_YOURS",
]);

export function isRefusal(error: unknown): error is CloisterError {
  return error instanceof CloisterError && refusals.has(error.code);
}

/** What the audit log says of a request that only a trusted caller may make; undefined for one that any may. */
export function auditDetails(
  method: MethodName,
  params: unknown,
  caller: Caller,
): Readonly<Record<string, unknown>> | undefined {
  if (!caller.trusted) return undefined;
  return (methods[method] as Method<unknown, unknown>).audits(params);
}

/** Whether others than the daemon's own user may connect, so that the socket must be open to them. */
export function admitsOthers(policy: TrustPolicy, ownUid: number): boolean {
  if (policy.allowedUids === "all") return true;
  if ((policy.allowedGids?.size ?? 0) + (policy.trustedGids?.size ?? 0) > 0) return true;
  return [...policy.allowedUids, ...policy.trustedUids].some((uid) => uid !== ownUid && uid !== 0);
}
