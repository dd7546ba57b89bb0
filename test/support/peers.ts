/** The real nix and guix, in the tree that test/support/peers.sh makes. */
import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";

export const peersTree = process.env.CLOISTER_PEERS ?? "/var/tmp/cloister-peers";

export const lacksPeers = process.getuid?.() !== 0 || !existsSync(join(peersTree, "usr/bin/nix-store"));
export const needsPeers = "needs root and the tree of test/support/peers.sh";

/** Runs a command with the tree as its root and a /proc, in which nix looks for itself. Paths are the tree's. */
export function runInPeers(command: readonly string[]): SpawnSyncReturns<string> {
  const environment = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/root", NIX_CONF_DIR: "/etc/peers", LC_ALL: "C" };
  const script = 'mount -t proc proc "$1/proc"; exec chroot "$@"';
  const namespaces = ["--mount", "--pid", "--fork", "--propagation", "private"];
  return spawnSync("unshare", [...namespaces, "sh", "-euc", script, "sh", peersTree, ...command], {
    env: environment,
    encoding: "utf8",
    maxBuffer: 2 ** 28,
  });
}
