/**
 * The real tools, run in the tree that test/support/peers.sh makes (CLOISTER_PEERS says where it is). Nothing here needs
 * a daemon of theirs: nix works on a store of its own below a temporary directory, guile loads Guix's modules.
 */
import { spawnSync } from "node:child_process";
import { lstatSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";

const tree = process.env.CLOISTER_PEERS ?? "/var/tmp/cloister-peers";

/** What is needed to run the tools here, or undefined if all is there. */
export const missingPeers: string | undefined =
  process.getuid?.() !== 0
    ? "needs root, to enter the tree of the peers"
    : ["nix-instantiate", "nix-store", "guile"].every((program) =>
          lstatSync(join(tree, "usr/bin", program), { throwIfNoEntry: false }),
        )
      ? undefined
      : "needs nix and guix: run test/support/peers.sh make, and set CLOISTER_PEERS";

/** A directory in the tree, with what ran in it. */
export class PeerDirectory implements Disposable {
  /** As this process sees it. */
  readonly path = mkdtempSync(join(tree, "var/tmp/cloister-oracle-"));

  /** Runs a shell script in the directory and gives its output; a failing script is an error with what it said. */
  run(script: string): string {
    const inside = this.path.slice(tree.length);
    const environment = [
      `HOME=${inside}`,
      "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
      "LC_ALL=C.UTF-8",
      "GUILE_AUTO_COMPILE=0",
      "NIX_CONFIG=extra-experimental-features = nix-command ca-derivations",
    ];
    const inTree = ["chroot", tree, "/usr/bin/env", "-i", ...environment, "/bin/sh", "-euc", `cd ${inside}\n${script}`];
    const command = ["--mount", "--propagation", "private", "/bin/sh", "-euc", mounts, tree, ...inTree];
    const ended = spawnSync("unshare", command, { encoding: "utf8", maxBuffer: 2 ** 28, timeout: 300_000 });
    if (ended.status !== 0)
      throw new Error(`the peers' script failed (${ended.status ?? ended.signal}): ${ended.stderr}`);
    return ended.stdout;
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** nix looks for itself in /proc, and the tree may be left without one. The mounts end with the script. */
const mounts = 'mount -t proc proc "$0/proc"; mount --rbind /dev "$0/dev"; exec "$@"';
