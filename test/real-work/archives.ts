/**
 * The Debian source archives that real builds start from, fetched by apt-get from wherever this machine gets its packages,
 * and kept in `definitions/archives`, where the definitions name them. No root is needed: lists and caches of apt are our own.
 */
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, extname, join } from "node:path";
import { fileURLToPath } from "node:url";

const kept = fileURLToPath(new URL("./definitions/archives", import.meta.url));

/** Names of Debian source packages; each has a definition of that name. */
export const software = ["hello", "zlib", "sqlite3"] as const;
export type Software = (typeof software)[number];

export function definitionOf(name: Software): string {
  return fileURLToPath(new URL(`./definitions/${name}.ts`, import.meta.url));
}

export function archiveOf(name: Software): string {
  return join(kept, `${name}.tar`);
}

/** Fetches what is not there yet. Returns why that is not possible, or "". */
export function fetchArchives(names: readonly Software[]): string {
  const missing = names.filter((name) => !existsSync(archiveOf(name)));
  if (missing.length === 0) return "";
  const folder = mkdtempSync(join(tmpdir(), "cloister-archives-"));
  try {
    return fetchInto(folder, missing);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function fetchInto(folder: string, names: readonly Software[]): string {
  const parts = join(folder, "sources.list.d");
  for (const each of [parts, join(folder, "lists/partial"), join(folder, "cache/archives/partial")])
    mkdirSync(each, { recursive: true });
  if (!writeSources(parts)) return "needs apt with a package archive set up";
  const options = [
    ["Dir::Etc::sourcelist", "/dev/null"],
    ["Dir::Etc::sourceparts", parts],
    ["Dir::State::Lists", join(folder, "lists")],
    ["Dir::Cache", join(folder, "cache")],
    ["APT::Sandbox::User", userName()],
    ["Acquire::Check-Valid-Until", "false"], // the archive may be a snapshot of an earlier day
    ["Acquire::Retries", "2"],
  ].flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  const apt = (...args: string[]) =>
    spawnSync("apt-get", ["-qq", ...options, ...args], { cwd: folder, encoding: "utf8", timeout: 120_000 });

  apt("update"); // some archives of a machine may have no sources; what matters is whether ours are found
  const { status, stderr, error } = apt("source", "--download-only", "--only-source", ...names);
  if (status !== 0) return `needs the source archives of ${names.join(", ")}: ${error?.message ?? lastLine(stderr)}`;
  mkdirSync(kept, { recursive: true });
  for (const name of names) {
    const file = readdirSync(folder).find(
      (each) => each.startsWith(`${name}_`) && /\.orig\.tar\.[a-z0-9]+$/.test(each),
    );
    if (file === undefined) return `needs an upstream archive in the source package ${name}`;
    const unfinished = join(kept, `${basename(folder)}-${name}`); // another process may fetch the same
    copyFileSync(join(folder, file), unfinished);
    renameSync(unfinished, archiveOf(name));
  }
  return "";
}

/** What the machine's own lists say, for sources in place of programs. False if it has no lists. */
function writeSources(parts: string): boolean {
  const own = "/etc/apt/sources.list.d";
  const files = existsSync(own) ? readdirSync(own).map((name) => join(own, name)) : [];
  let count = 0;
  for (const file of ["/etc/apt/sources.list", ...files]) {
    const kind = extname(file);
    if (!existsSync(file) || (kind !== ".list" && kind !== ".sources")) continue;
    const text = readFileSync(file, "utf8");
    const sources =
      kind === ".list" ? text.replace(/^deb\s/gm, "deb-src ") : text.replace(/^Types:.*$/gm, "Types: deb-src");
    writeFileSync(join(parts, basename(file)), sources);
    count += 1;
  }
  return count > 0;
}

/** apt would become a user of its own, who may not write to our folder. */
function userName(): string {
  return process.getuid?.() === 0 ? "root" : "";
}

function lastLine(text: string): string {
  return text.trim().split("\n").at(-1) ?? "";
}
