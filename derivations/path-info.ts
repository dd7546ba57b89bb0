/** What the store knows of a valid path. */
import type { ContentAddress } from "./content-address.ts";
import type { Sha256 } from "./hash.ts";
import type { StorePath } from "./store-path.ts";

export interface PathInfo {
  readonly path: StorePath;
  readonly narHash: Sha256;
  /** In bytes. */
  readonly narSize: bigint;
  /** May contain `path` itself. */
  readonly references: ReadonlySet<StorePath>;
  /** The derivation it was built from; it need not be valid. */
  readonly deriver?: StorePath;
  readonly registeredAtSeconds: number;
  /** True if it was built here, and so is trusted without a signature. */
  readonly ultimate: boolean;
  /** Each `NAME:BASE64`. */
  readonly signatures: readonly string[];
  /** There if the path follows from its contents. */
  readonly contentAddress?: ContentAddress;
}
