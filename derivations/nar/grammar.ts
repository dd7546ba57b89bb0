/**
 * NAR, the archive of one file, directory or symbolic link, in which equal trees have equal bytes:
 *
 *     nar       = "nix-archive-1" node
 *     node      = "(" "type" body ")"
 *     body      = "regular" [ "executable" "" ] "contents" BYTES
 *               | "symlink" "target" TARGET
 *               | "directory" { "entry" "(" "name" NAME "node" node ")" }
 *
 * Each token is a string of ../wire.ts: its length, its bytes, zero bytes up to a multiple of 8. The names in a directory
 * ascend by their bytes, each once. Token order is exactly this one, and all limits below are those of Nix 2.34.8.
 * Source: Nix manual, "Nix Archive (NAR) format"; Nix libutil/archive.cc.
 */

export const narMagic = "nix-archive-1";

export const narLimits = {
  /** Nodes one in another, the root and the innermost file counted. */
  levels: 64,
  /** Bytes of a file name. */
  nameBytes: 255,
  /** Bytes of a symbolic link's target. */
  targetBytes: 4095,
  /** Bytes of a file: what a file offset can hold. */
  fileBytes: 2n ** 63n - 1n,
} as const;

/**
 * An archive as a sequence: one node, where
 * - a file is `file`, then `contents` events that together have its size (none if it is empty);
 * - a directory is `directory`, then for each entry `entry` and a node, then `end`;
 * - a symbolic link is `symlink`.
 */
export type NarEvent =
  | NarFileEvent
  | { readonly kind: "contents"; readonly bytes: Uint8Array }
  | { readonly kind: "symlink"; readonly target: Uint8Array }
  | { readonly kind: "directory" }
  | { readonly kind: "entry"; readonly name: Uint8Array }
  | { readonly kind: "end" };

export interface NarFileEvent {
  readonly kind: "file";
  readonly executable: boolean;
  readonly size: bigint;
  /** Where the contents begin in the archive, in bytes. A decoder tells it, an encoder does not look at it. */
  readonly offset?: number;
}

export type NameFault = "empty" | "dot" | "slash" | "nul" | "too-long";
export type TargetFault = "empty" | "nul" | "too-long";

/** What is wrong with a file name, or undefined. */
export function findNameFault(name: Uint8Array): NameFault | undefined {
  if (name.length === 0) return "empty";
  if (name.length > narLimits.nameBytes) return "too-long";
  if (name[0] === dot && (name.length === 1 || (name.length === 2 && name[1] === dot))) return "dot";
  if (name.includes(slash)) return "slash";
  if (name.includes(0)) return "nul";
  return undefined;
}

/** What is wrong with a symbolic link's target, or undefined. */
export function findTargetFault(target: Uint8Array): TargetFault | undefined {
  if (target.length === 0) return "empty";
  if (target.length > narLimits.targetBytes) return "too-long";
  if (target.includes(0)) return "nul";
  return undefined;
}

const dot = 0x2e;
const slash = 0x2f;
