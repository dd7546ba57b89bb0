/** Who may do what: a caller is known by the kernel's word alone, and each request's row names the role it needs. */
import { type MethodName, methods } from "../api/msgpack-messages.ts";
import type { Caller } from "../api/service.ts";
import { ServerError } from "./errors.ts";

export interface TrustPolicy {
  /** Users who may connect; "all" for a system's daemon. Trusted users may always. */
  readonly allowedUids: "all" | ReadonlySet<number>;
  /** Users who may say what cannot be checked, and change what is others'. */
  readonly trustedUids: ReadonlySet<number>;
}

/** What the kernel says of the process at the other end of a socket. */
export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** The daemon's own user and root are trusted: they could write the store's files without asking. */
export function makeTrustPolicy(
  ownUid: number,
  more: { readonly allowed: "all" | Iterable<number>; readonly trusted: Iterable<number> },
): TrustPolicy {
  return {
    allowedUids: more.allowed === "all" ? "all" : new Set(more.allowed),
    trustedUids: new Set([ownUid, 0, ...more.trusted]),
  };
}

/** Throws CALLER_NOT_ALLOWED. */
export function admit(policy: TrustPolicy, peer: PeerCredentials): Caller {
  const { uid, gid, pid } = peer;
  const trusted = policy.trustedUids.has(uid);
  if (!trusted && policy.allowedUids !== "all" && !policy.allowedUids.has(uid))
    throw new ServerError("CALLER_NOT_ALLOWED", { uid });
  return { uid, gid, pid, trusted };
}

/** Throws OPERATION_NOT_ALLOWED. */
export function authorise(method: MethodName, caller: Caller): void {
  if (methods[method].role === "trusted" && !caller.trusted)
    throw new ServerError("OPERATION_NOT_ALLOWED", { method, uid: caller.uid });
}

/** Whether others than the daemon's own user may connect, so that the socket must be open to them. */
export function admitsOthers(policy: TrustPolicy, ownUid: number): boolean {
  if (policy.allowedUids === "all") return true;
  return [...policy.allowedUids, ...policy.trustedUids].some((uid) => uid !== ownUid && uid !== 0);
}
