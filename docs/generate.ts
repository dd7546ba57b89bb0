/**
 * Writes docs/errors.md from the error tables of all folders, docs/protocol.md from the tables of messages and
 * requests, docs/json.md from the schemas of the command line, docs/configuration.md from the daemon's settings,
 * docs/trust.md from the roles of the requests, and
 * docs/seccomp.md and the launcher's tables from the seccomp profiles. With `--check` it writes nothing, and its exit
 * status is 1 if a file is not what it would write.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { configurationPage } from "./generate-configuration.ts";
import { errorsPage } from "./generate-errors.ts";
import { jsonPage } from "./generate-json.ts";
import { protocolPage } from "./generate-protocol.ts";
import { seccompPage, seccompTables } from "./generate-seccomp.ts";
import { trustPage } from "./generate-trust.ts";

const docs = dirname(fileURLToPath(import.meta.url));
const isCheck = process.argv.includes("--check");

const pages: Readonly<Record<string, string>> = {
  "configuration.md": configurationPage(),
  "errors.md": await errorsPage(errorTables()),
  "json.md": jsonPage(),
  "protocol.md": protocolPage(),
  "seccomp.md": seccompPage(),
  "trust.md": trustPage(),
  "../sandbox-native/src/linux/syscall-filter-tables.inc": seccompTables(),
};

for (const [name, page] of Object.entries(pages)) {
  const file = join(docs, name);
  if (existsSync(file) && readFileSync(file, "utf8") === page) continue;
  if (isCheck) {
    console.error(`${join("docs", name)}:1: is not what the tables say; use \`npm run docs\` to write it again`);
    process.exitCode = 1;
  } else {
    writeFileSync(file, page);
    console.log(`wrote ${join("docs", name)}`);
  }
}

/** The errors.ts of each folder, by the folder's path from the repository's top. */
function errorTables(): string[] {
  const top = dirname(docs);
  const folders = [
    "derivations",
    "sandbox-native",
    "store",
    ...readdirSync(join(top, "daemon")).map((name) => `daemon/${name}`),
  ];
  return folders.map((folder) => `${folder}/errors.ts`).filter((file) => existsSync(join(top, file)));
}
