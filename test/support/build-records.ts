/** Records and staged outputs for tests of the store, as a build would hand them over. */
import type { BuildRecord } from "../../derivations/build-record.ts";
import { makeSha256 } from "../../derivations/hash.ts";
import { parseStorePath, type StorePath } from "../../derivations/store-path.ts";
import type { StagedOutput } from "../../store/commit-outputs.ts";
import type { Store } from "../../store/store.ts";
import { fileNar, inPieces } from "./temporary-store.ts";

export const someDrv = parseStorePath("dddddddddddddddddddddddddddddddd-some.drv");

export function buildRecord(id: string, changes: Partial<BuildRecord> = {}): BuildRecord {
  return {
    id,
    drvPath: someDrv,
    name: "some-1.0",
    status: "building",
    startedAtMs: 1000,
    command: ["/bin/sh", "-c", "true"],
    environment: { out: "/cloister/store/x" },
    inputs: [],
    strength: "single",
    outputs: {},
    resources: { cpuUserMicroseconds: 1, cpuSystemMicroseconds: 2, maxResidentBytes: 3, wallMicroseconds: 4 },
    ...changes,
  };
}

/** A file in staging, as the output `outputId` that is to lie at `path`. */
export async function stagedOutput(
  store: Store,
  path: StorePath,
  options: { outputId?: string; contents?: string; references?: readonly StorePath[] } = {},
): Promise<StagedOutput> {
  const restored = await store.writer.restore(inPieces(fileNar(options.contents ?? path)));
  return {
    stagingName: restored.stagingName,
    outputId: options.outputId ?? "out",
    drvPath: someDrv,
    info: {
      path,
      narHash: makeSha256(restored.narHash),
      narSize: restored.narSize,
      references: new Set(options.references ?? []),
      deriver: someDrv,
      ultimate: true,
      signatures: [],
    },
  };
}
