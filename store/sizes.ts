/** How much a store holds, and where it lies how much is free. Looked up in small steps, between which others have their turn. */
import { readdir, stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import type { StoreLayout } from "./layout.ts";
import type { ValidPaths } from "./valid-paths.ts";

/** In bytes. */
export interface StoreSizes {
  /** Of all valid paths, by the sizes of their archives. */
  readonly storeBytes: number;
  readonly databaseBytes: number;
  readonly logBytes: number;
  /** There are more logs than were looked at. */
  readonly moreLogs: boolean;
  /** What this user may still write where the store lies. */
  readonly freeBytes: number;
}

/** Rows at a time: a few milliseconds. */
const rowsAtOnce = 20_000;
/** Whoever asks waits for it, so an old store's many logs are not all looked at. */
const logPatienceMs = 1000;

export async function measureStore({ layout, paths }: { layout: StoreLayout; paths: ValidPaths }): Promise<StoreSizes> {
  const logs = await sizeOfLogs(join(layout.logDirectory, "builds"));
  const { bavail, bsize } = await statfs(layout.realStoreDirectory);
  return {
    storeBytes: await sizeOfPaths(paths),
    databaseBytes: (await sizesOfFiles(layout.databaseDirectory)).bytes,
    logBytes: logs.bytes,
    moreLogs: !logs.isAll,
    freeBytes: bavail * bsize,
  };
}

async function sizeOfPaths(paths: ValidPaths): Promise<number> {
  let sum = 0;
  for (let after = 0; ; ) {
    const some = paths.narSizesAfter(after, rowsAtOnce);
    if (some === undefined) return sum;
    sum += some.bytes;
    after = some.lastId;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function sizeOfLogs(directory: string): Promise<{ readonly bytes: number; readonly isAll: boolean }> {
  const stopAtMs = performance.now() + logPatienceMs;
  let sum = 0;
  for (const { name } of (await sizesOfFiles(directory)).entries) {
    if (performance.now() > stopAtMs) return { bytes: sum, isAll: false };
    sum += (await sizesOfFiles(join(directory, name))).bytes;
  }
  return { bytes: sum, isAll: true };
}

/** Of the files directly in it. What goes meanwhile counts nothing. */
async function sizesOfFiles(directory: string) {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
  const files = entries.filter((entry) => entry.isFile());
  const sizes = await Promise.all(
    files.map(({ name }) =>
      stat(join(directory, name)).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  );
  return { entries, bytes: sizes.reduce((sum, size) => sum + size, 0) };
}
