/**
 * What `import … from "cloister"` gives: descriptions for definitions, and a typed client of a daemon. It loads no part
 * of the daemon itself; `cloister/daemon` does.
 */

export type { BuildRecord } from "../derivations/build-record.ts";
export type { BuildResult } from "../derivations/build-result.ts";
export type { DerivedPath } from "../derivations/derived-path.ts";
export { CloisterError } from "../derivations/error.ts";
export type { PathInfo } from "../derivations/path-info.ts";
export type { StoreDirectory, StorePath } from "../derivations/store-path.ts";
export type { Activity, BuildActivity, RequestActivity, WaitReason } from "./api/activity.ts";
export type { BuildEvent } from "./api/events.ts";
export type { CancelledBuild, CancelResult, OnDisconnect, Wanter } from "./api/requests.ts";
export type {
  AddMethod,
  AttachOptions,
  BuildOptions,
  BuildSettingsAsked,
  ByteStream,
  Caller,
  Cancellable,
  GcOptions,
  GcResult,
  PathDetails,
  Root,
  Service,
  Status,
} from "./api/service.ts";
export type { Client } from "./client/client.ts";
export { type ConnectOptions, connect } from "./client/find-daemon.ts";
export { type BuildRun, defaultBuildOptions, watchBuild } from "./client/watch-build.ts";
export {
  type DerivationAttributes,
  type DerivationDescription,
  derivation,
  type FixedHash,
  file,
  hostWorld,
  output,
  type Reference,
  type SourceOptions,
  source,
  storePath,
  type Value,
  type World,
} from "./definitions/description.ts";
export { explainHostWorld, resolveHostWorld, type WorldOptions } from "./definitions/host-world.ts";
export { type PrepareOptions, prepareTargets } from "./definitions/prepare-targets.ts";
export type { ResolveOptions } from "./definitions/resolve.ts";
export { loadTarget, loadTargets, resolveTarget, type Target } from "./definitions/target.ts";
