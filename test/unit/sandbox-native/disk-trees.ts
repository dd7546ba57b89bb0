/** Trees on disk for tests: written from the arbitrary trees of the archive tests, removed whatever their modes are. */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  type Stats,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Tree } from "../derivations/arbitraries.ts";

export interface TemporaryFolder extends Disposable {
  readonly path: string;
  join(...parts: string[]): string;
}

export function makeTemporaryFolder(): TemporaryFolder {
  const path = mkdtempSync(join(tmpdir(), "cloister-tree-"));
  return {
    path,
    join: (...parts) => join(path, ...parts),
    [Symbol.dispose]: () => {
      execFileSync("chmod", ["-R", "u+rwX", path]); // sealed trees are read-only, their directories too
      rmSync(path, { recursive: true, force: true });
    },
  };
}

/** Names are bytes, so paths are too. */
export function writeTree(path: Uint8Array, root: Tree): void {
  switch (root.kind) {
    case "file":
      writeFileSync(Buffer.from(path), root.contents);
      chmodSync(Buffer.from(path), root.executable ? 0o755 : 0o644);
      break;
    case "symlink":
      symlinkSync(Buffer.from(root.target), Buffer.from(path));
      break;
    case "directory":
      mkdirSync(Buffer.from(path));
      for (const [name, node] of root.entries) writeTree(Buffer.concat([path, Buffer.from("/"), name]), node);
      break;
    default:
      root satisfies never;
  }
}

/** All entries of a tree, its top first, as `[path below the top, status]`. */
export function listEntries(path: string, inside = ""): [string, Stats][] {
  const status = lstatSync(join(path, inside));
  if (!status.isDirectory()) return [[inside, status]];
  return [
    [inside, status],
    ...readdirSync(join(path, inside)).flatMap((name) => listEntries(path, join(inside, name))),
  ];
}
