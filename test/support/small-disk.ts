/** A small disk of a test's own, and filling it. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmdirSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A file system of its own, unmounted when it is disposed of; undefined where we may not mount. */
export function mountSmall(megabytes: number, inodes = 0): (Disposable & { readonly path: string }) | undefined {
  const path = mkdtempSync(join(tmpdir(), "cloister-full-"));
  const options = `size=${megabytes}m,mode=755${inodes === 0 ? "" : `,nr_inodes=${inodes}`}`;
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", path], { stdio: "ignore" });
  } catch {
    rmdirSync(path);
    return undefined;
  }
  return {
    path,
    [Symbol.dispose]: () => {
      execFileSync("umount", [path]);
      rmdirSync(path);
    },
  };
}

/** Takes what is left, page by page. */
export function fillUp(directory: string): void {
  for (let index = 0; statfsSync(directory).bavail > 0 && index < 100; ++index) {
    const { bavail, bsize } = statfsSync(directory);
    try {
      writeFileSync(join(directory, `filler${index}`), Buffer.alloc(Math.max(1, bavail * bsize)));
    } catch {
      // The last write took what there was.
    }
  }
}

/** Takes bytes or inodes until a fiftieth of all there are is left. */
export function fillAlmost(directory: string, what: "bytes" | "inodes"): void {
  const { bavail, blocks, bsize, ffree, files } = statfsSync(directory);
  if (what === "bytes")
    writeFileSync(join(directory, "filler"), Buffer.alloc((bavail - Math.floor(blocks / 50)) * bsize));
  else for (let left = ffree; left > files / 50; --left) writeFileSync(join(directory, `filler${left}`), "");
}
