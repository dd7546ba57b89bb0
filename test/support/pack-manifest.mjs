// Around `npm pack`: the Node that a checkout pins for its own commands is no dependency of the published package.
// usage: node test/support/pack-manifest.mjs shorten|restore
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { packageFolder } from "../../sandbox-native/pinned-node.mjs";

const manifestFile = join(packageFolder, "package.json");
const kept = join(packageFolder, ".package.json.full");

if (process.argv[2] === "shorten") {
  // What an interrupted run left is the whole one: it must not be written over with the short one.
  const whole = existsSync(kept) ? readFileSync(kept, "utf8") : readFileSync(manifestFile, "utf8");
  const { optionalDependencies: _pinnedNode, allowScripts: _forCheckouts, ...manifest } = JSON.parse(whole);
  const { install } = manifest.scripts;
  writeFileSync(kept, whole);
  writeFileSync(manifestFile, `${JSON.stringify({ ...manifest, scripts: { install } }, undefined, 2)}\n`);
} else if (existsSync(kept)) {
  renameSync(kept, manifestFile);
}
