/** The service as it is installed on a machine without systemd, from nothing to nothing, in an overlay over this one. */
import { spawnSync } from "node:child_process";
import { existsSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { assertReachable } from "../../daemon/cli/service/plan.ts";
import { packageFolder } from "../../sandbox-native/pinned-node.mjs";

const node = realpathSync(process.execPath);

test("installed, it serves everybody as a user of its own with ids for builds; removed, only the store is left", ({
  skip,
}) => {
  skip(process.getuid?.() !== 0, "needs root");
  skip(!existsSync("/usr/sbin/start-stop-daemon") && !existsSync("/sbin/start-stop-daemon"), "needs start-stop-daemon");
  skip(!isReachable(), "needs a checkout that all users reach");
  // Modules may be links to another folder.
  const folders = [packageFolder, dirname(dirname(node)), realpathSync(join(packageFolder, "node_modules"))];
  const script = `
set -e
cloister() { "${node}" "${packageFolder}/daemon/cli/bin.js" "$@"; }
installed() { cloister --socket /run/cloister/socket "$@"; }
cloister service install --manager init --yes
for _ in $(seq 300); do [ -S /run/cloister/socket ] && break; sleep 0.1; done
cat > /tmp/made.ts <<'X'
import { derivation, hostWorld } from "cloister";
export default derivation({ name: "made-1", world: hostWorld(["bash", "cat"]), script: "cat /proc/self/uid_map > $out" });
X
installed status
setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/tmp "${node}" "${packageFolder}/daemon/cli/bin.js" build --no-link /tmp/made.ts
if setpriv --reuid=65534 --regid=65534 --clear-groups "${node}" "${packageFolder}/daemon/cli/bin.js" daemon stop; then exit 1; fi
echo "maxConnections = 77" > /etc/cloister/cloister.toml
/etc/init.d/cloister reload
installed config --set
echo "audit: $(cat /cloister/var/cloister/log/audit.log)"
echo "owner: $(stat -c %U /cloister/store /run/cloister/socket | tr '\\n' ' ')"
echo "ids: $(grep ^cloister: /etc/subuid /etc/subgid | tr '\\n' ' ')"
cloister service remove --yes
echo "left: $(ls -d /etc/init.d/cloister /etc/cloister/* /run/cloister/socket 2>/dev/null | tr '\\n' ' ')"
echo "ids left: $(grep -c ^cloister: /etc/subuid)"
`;
  const { status, stdout, stderr } = spawnSync(
    "unshare",
    [
      "--mount",
      "--pid",
      "--fork",
      "--kill-child",
      join(packageFolder, "test/support/in-overlay.sh"),
      script,
      ...folders,
    ],
    {
      encoding: "utf8",
      env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" },
      timeout: 120_000,
    },
  );
  skip(status === 77, "needs an overlay over / and a /proc of its own");
  const said = `${stdout}\n${stderr}`;
  expect(said).toContain("done\n");
  expect(stdout).toMatch(/^strength +range/m);
  expect(stdout).toMatch(/^\/cloister\/store\/.*-made-1$/m);
  expect(stderr).toContain("[OPERATION_NOT_ALLOWED]");
  expect(stderr).toContain("from now on: maxConnections");
  expect(stdout).toMatch(/^maxConnections = 77 +# \/etc\/cloister\/cloister.toml:1$/m);
  expect(stdout).toMatch(/^audit: .*"outcome":"refused","operation":"shutdown","uid":65534/m);
  expect(stdout).toContain("owner: cloister cloister \n");
  expect(stdout).toMatch(/^ids: \/etc\/subuid:cloister:[0-9]+:16777216 \/etc\/subgid:cloister:[0-9]+:16777216 $/m);
  expect(stderr).toContain("keep    /etc/cloister/cloister.toml: it was changed since it was installed");
  expect(stdout).toContain("left: /etc/cloister/cloister.toml \n");
  expect(stdout).toContain("ids left: 0\n");
});

function isReachable(): boolean {
  try {
    assertReachable({ node, folder: packageFolder });
    return true;
  } catch {
    return false;
  }
}
