/**
 * What a build tells on its way: one explicit stream, made where the build runs and handed back up unchanged to every
 * client that asked. Bytes of a log are the builder's own and hostile to terminals; whoever shows them cleans them.
 */
import type { BuildResult } from "../../derivations/build-result.ts";
import type { StorePath } from "../../derivations/store-path.ts";

export type BuildEvent =
  /** First of all: what this request will do. `alreadyValid` counts the requested outputs that need nothing. */
  | {
      readonly kind: "plan";
      readonly toBuild: readonly {
        readonly drvPath: StorePath;
        readonly name: string;
        /** How long builds of this name took before; absent where none is known. */
        readonly expectedWallMs?: number;
      }[];
      readonly alreadyValid: number;
      /** Of a request that may go on without its client: by which it can be attached to. */
      readonly requestId?: string;
    }
  | { readonly kind: "build-started"; readonly drvPath: StorePath; readonly name: string; readonly recordId: string }
  | { readonly kind: "build-log"; readonly drvPath: StorePath; readonly name: string; readonly bytes: Uint8Array }
  /** Once for each derivation of the plan, also for those that were not built because a dependency failed. */
  | {
      readonly kind: "build-finished";
      readonly drvPath: StorePath;
      readonly name: string;
      readonly result: BuildResult;
      /** The last lines of the log where the build failed, as bytes without the line ends. */
      readonly lastLogLines: readonly Uint8Array[];
    };
