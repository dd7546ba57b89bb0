// Compiles what is not up to date: the native part, and the TypeScript into dist/ together with the data files that
// lie among it. usage: node test/support/compile.mjs [--typescript]
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { compileNative } from "../../sandbox-native/install.mjs";
import { packageFolder } from "../../sandbox-native/pinned-node.mjs";

const sourceFolders = ["derivations", "store", "sandbox-native", "daemon"];
const output = join(packageFolder, "dist");

const native = process.argv[2] === "--typescript" ? undefined : compileNative();
const failures = [native, compileTypeScript(), carryData()].filter((failure) => failure !== undefined);
for (const failure of failures) console.error(failure);
if (failures.length > 0) process.exitCode = 1;

function compileTypeScript() {
  const compiler = join(packageFolder, "node_modules", "typescript", "bin", "tsc");
  if (!existsSync(compiler))
    return "cloister: the TypeScript compiler is not installed: run npm ci (without --omit=dev)";
  removeStale();
  const args = [compiler, "-p", join(packageFolder, "tsconfig.json")];
  const result = spawnSync(process.execPath, args, { cwd: packageFolder, encoding: "utf8" });
  if (result.status === 0) return undefined;
  return `cloister: the TypeScript does not compile:\n${result.stdout}${result.stderr}`;
}

/** What was compiled from a source that is gone would be packed, and found by a mistyped import. */
function removeStale() {
  for (const file of listFiles("dist")) {
    const source = file.slice("dist/".length);
    const origins = [source, source.replace(/\.d\.ts$/, ".ts"), source.replace(/\.js$/, ".ts")];
    if (source.startsWith(".")) continue;
    if (!origins.some((origin) => existsSync(join(packageFolder, origin)))) rmSync(join(packageFolder, file));
  }
}

/** The compiler takes only the JSON that is imported; what is read at run time lies beside its reader all the same. */
function carryData() {
  for (const folder of sourceFolders) {
    for (const file of listFiles(folder)) {
      if (!file.endsWith(".json") || file.startsWith("sandbox-native/build")) continue;
      const copy = join(output, file);
      if (existsSync(copy) && readFileSync(copy).equals(readFileSync(join(packageFolder, file)))) continue;
      mkdirSync(dirname(copy), { recursive: true });
      copyFileSync(join(packageFolder, file), copy);
    }
  }
  return undefined;
}

/** The files below a folder of the package, by their names from the package's folder. */
function listFiles(folder) {
  const directory = join(packageFolder, folder);
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? listFiles(join(folder, entry.name)) : [join(folder, entry.name)],
  );
}
