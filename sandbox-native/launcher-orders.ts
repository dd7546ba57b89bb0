/** What orders about trees take and give. */
import type { OutputHash } from "./launcher-messages.ts";

export interface RestoredTree {
  /** For `move` or `discard`. */
  readonly stagingName: string;
  readonly narHash: Uint8Array;
  readonly narSize: bigint;
  readonly hash?: Uint8Array;
}

export interface ArchivedDirectory {
  readonly sizeBytes: number;
  /** How many sockets, FIFOs and so on it had, and the names of some. */
  readonly leftOut: number;
  readonly leftOutNames: readonly string[];
}

export interface RewriteOrder {
  readonly stagingName: string;
  /** Hash parts (32 digits). */
  readonly pairs: readonly { readonly from: string; readonly to: string }[];
  readonly candidates: readonly string[];
  /** The new tree's own: asks for the hash modulo self, by the algorithm of `hash` (sha256 without). */
  readonly selfHashPart?: string;
  readonly hash?: OutputHash;
}
