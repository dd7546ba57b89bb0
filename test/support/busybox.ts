/** A static busybox: the builder of tests that need no world. Debian's package is busybox-static. */
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { dumpTree } from "../../sandbox-native/read-tree.ts";

export const busyboxFile = ["/bin/busybox", "/usr/bin/busybox"].find(isStatic);

export const missingBusybox = busyboxFile === undefined;

/** The archive of a directory with bin/busybox in it. */
export async function* busyboxTree(): AsyncGenerator<Uint8Array> {
  if (busyboxFile === undefined) throw new Error("there is no static busybox on this machine");
  const directory = mkdtempSync(join(tmpdir(), "cloister-busybox-"));
  try {
    mkdirSync(join(directory, "tree/bin"), { recursive: true });
    copyFileSync(busyboxFile, join(directory, "tree/bin/busybox"));
    yield* dumpTree(join(directory, "tree"));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** A dynamic one names its loader, and would need it and its libraries in the jail. */
function isStatic(path: string): boolean {
  return existsSync(path) && !readFileSync(path).includes("/ld-linux");
}
